"""Random streams: every use of chance in a run has its own, derived from the run's seed by a hash.

A stream is named by the run's seed, a purpose and a place: ``derive(seed, "rollout", step)``, and from that a sample's
own ``derive(step_seed, "sample", prompt, sample)``. The place says *what* is drawn, never *where*: which engine or rank
draws it, or whether it is drawn again after an engine was lost, does not change it. Sums such as ``seed + prompt`` are
not made anywhere: they give neighbouring prompts the same streams.

Any seed works. Libraries differ in what they take (NumPy's old generator 32 bits, torch 64), so ``bits`` says how much
of the hash is handed out.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np

MAX_SEED = 2**64 - 1
"""Largest seed of a run."""

NUMPY_BITS = 32
"""What ``numpy.random.seed`` takes, and everything that passes its seed on to it (vLLM's engine)."""
CHAT_BITS = 31
"""What every server of the OpenAI protocol takes."""


def derive(seed: int, purpose: str, *place: int | str, bits: int = 63) -> int:
    """The seed of a stream: a whole number from 0, of at most ``bits`` bits (63 fit signed and unsigned 64).

    Different arguments give independent streams, whatever their number and size. The same arguments give the same seed
    on every machine and in every version of Python.
    """
    name = json.dumps([seed, purpose, *place]).encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest()) >> (64 - bits)


def numpy_stream(seed: int, purpose: str, *place: int | str) -> np.random.Generator:
    """A NumPy generator on the stream of ``derive``."""
    return np.random.default_rng(derive(seed, purpose, *place))
