"""Verdicts and line scores -> one reward per token. Pure numpy: no Ray, no model, no input or output.

- ``config``    ``RewardConfig``: which shaping, its weights and thresholds, the outcome scale
- ``inputs``    ``RewardInputs``: the inputs of a shaping, and the scored lines
- ``at_end``    shapings that pay the last token: outcome, pass_rate, orm
- ``process``   shapings that pay every line: process, process_mean, min_form, clip_delta, potential, gated, group_gated
- ``located``   shapings that pay one line of a failure: first_error, located, error_line
- ``shaping``   ``Shaping`` and ``SHAPINGS``, the registry, and the two guarantees that its entries keep
- ``controls``  ``CONTROLS``: the same reward without the location, for experiments
- ``metrics``   the metrics ``hack/*``
"""
