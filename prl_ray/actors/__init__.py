"""Ray actors: generator (vLLM), verifier pool, scorer, learner (DeepSpeed), and the fleet that starts them."""
