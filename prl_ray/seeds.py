"""Random streams: each random choice of a run has its own stream, derived from the run's seed by a hash.

A stream is named by the run's seed, a purpose and a place: ``derive(seed, "rollout", step)``, and from that a sample's
own ``derive(step_seed, "sample", prompt, sample)``. The place names *what* is drawn, never *where*: the engine or rank
that draws it, or a repeated draw after a lost engine, does not change it. Sums such as ``seed + prompt`` are not used:
they give neighbouring prompts the same streams.

Any seed works. Libraries accept seeds of different sizes (NumPy's old generator 32 bits, torch 64), so ``bits`` sets
the size.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np

MAX_SEED = 2**64 - 1
"""Largest seed of a run."""

NUMPY_BITS = 32
"""Seed size of ``numpy.random.seed``, and of libraries that pass their seed to it (vLLM's engine)."""
CHAT_BITS = 31
"""Seed size that every server of the OpenAI protocol accepts."""


def derive(seed: int, purpose: str, *place: int | str, bits: int = 63) -> int:
    """The seed of a stream: a non-negative integer of at most ``bits`` bits (63 fit signed and unsigned 64).

    Different arguments give independent streams, whatever the number and size of the arguments. The same arguments give
    the same seed on every machine and in every version of Python.
    """
    name = json.dumps([seed, purpose, *place]).encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest()) >> (64 - bits)


def numpy_stream(seed: int, purpose: str, *place: int | str) -> np.random.Generator:
    """A NumPy generator on the stream of ``derive``."""
    return np.random.default_rng(derive(seed, purpose, *place))
