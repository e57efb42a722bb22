"""What the models' tests make their tiny model from."""

from prl_ray.models.tiny import TinyShape

TEXTS = [
    f"# Add {n} to x, then double it.\ndef f(x):\n    x = x + {n}\n    if x > {n}:\n        x = x * 2\n    return x\n"
    for n in range(40)
]
SHAPE = TinyShape(hidden=64, layers=2, heads=2, kv_heads=1, mlp=96, vocab=400, context=256)
