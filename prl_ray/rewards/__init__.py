"""Verdicts and line scores -> one reward a token. Pure numpy: no Ray, no model, no input or output.

- ``params``    ``ShapingParams``: weights, thresholds and the outcome scale; ``valid_samples``
- ``inputs``    ``RewardInputs``: what a shaping reads, and the scored lines
- ``at_end``    shapings that pay the last token: outcome, pass_rate, orm
- ``process``   shapings that pay every line: process, process_mean, min_form, clip_delta, potential, gated, group_gated
- ``located``   shapings that pay one line of a failure: first_error, located, error_line
- ``shaping``   ``SHAPINGS``, the registry, and the two guarantees that its entries keep
- ``controls``  ``CONTROLS``: the same pay without the knowledge of where, for experiments
- ``metrics``   hack/* figures and tables of scores and rewards by line
"""
