"""Pure functions of PPO: advantages, losses, KL control, packing, log-probabilities. No Ray, no input or output.

The learner holds flat ragged columns (``prl_ray.trajectory``), so everything here works on a flat token axis:
advantages on numpy columns with offsets, losses on flat torch tensors with one weight per token. Padding exists only
inside a micro-batch, between ``packing.collate`` and ``logprobs.token_logprobs``.
"""
