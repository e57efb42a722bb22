"""The weight transports that come with prl_ray, one module each. None of them imports Ray or vLLM before it is used."""
