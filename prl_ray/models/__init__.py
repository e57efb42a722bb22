"""Policies, critics and reward models, and how a problem becomes their tokens.

Parts, one concept a module; import the module that is needed, this package itself imports nothing heavy:

- ``registry``: a model's name or path → a local Hugging Face folder (``smollm2`` and ``tiny`` need no hub)
- ``dtype``: which number format this machine computes fastest
- ``encode``: problem and program → prompt tokens, response tokens, line ends
- ``policy``: load a causal LM, its hidden states, its output head on selected positions
- ``adapters``: LoRA, gradient checkpointing, and a model's weights with the adapters merged in
- ``named_weights``: a model's weights one at a time, as they are saved and sent
- ``saving``: Hugging Face folders, written shard by shard where a model is sharded or adapted
- ``reward_model``: line (PRM) and outcome (ORM) scores as a token-classification head
- ``value_head``: the critic's head on a trunk's features
- ``folders``: the user's cache; folders that appear whole or not at all
- ``quiet``: libraries load without progress bars
"""
