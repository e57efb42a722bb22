"""Policies, critics and reward models, and how a problem becomes their tokens.

One concept per module; the package itself imports nothing heavy:

- ``registry``: a model's name or path → a local Hugging Face folder (``smollm2`` and ``tiny`` need no hub)
- ``dtype``: the fastest number format of this machine
- ``encode``: problem and program → prompt tokens, response tokens, line ends
- ``policy``: loads a causal LM; hidden states, and the output head on selected positions
- ``adapters``: LoRA, gradient checkpointing, and a model's weights with merged adapters
- ``named_weights``: a model's weights one at a time, for saving and pushing
- ``saving``: Hugging Face folders, written shard by shard if a model is sharded or adapted
- ``reward_model``: line (PRM) and outcome (ORM) scores as a token-classification head
- ``value_head``: the critic's head on a trunk's features
- ``shard_files``: weights in shards that engines and their ranks read
- ``folders``: the user's cache; folders that are written atomically
- ``quiet``: loading libraries and models without progress bars
"""
