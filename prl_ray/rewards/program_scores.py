"""One score from a program's line scores, to rank programs for the same problem.

``p_i`` is the probability that line ``i`` is right, given that all lines before it are; the end is the last line.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from prl_ray.rewards.inputs import Floats


def mean(p: Floats) -> float:
    """Mean over the lines. Many right lines hide a wrong one."""
    return float(np.mean(p))


def minimum(p: Floats) -> float:
    """The lowest line score, since one wrong line is enough to fail."""
    return float(np.min(p))


def product(p: Floats) -> float:
    """Probability that all lines are right by the chain rule, if the scores were exact (Lightman et al. 2023)."""
    return float(np.prod(p))


def last(p: Floats) -> float:
    """The end's score: is it right to stop here?"""
    return float(p[-1])


AGGREGATES: dict[str, Callable[[Floats], float]] = {"min": minimum, "product": product, "mean": mean, "last": last}
"""Name -> function of the scores of the scored lines, float64 ``[lines]``, at least one, the end last."""

DEFAULT_AGGREGATE = "min"
"""The lowest line score (as in Wang et al. 2024, Math-Shepherd). Unlike the product, it does not fall with the length
of a program; unlike mean and last, it does not depend on lines after a wrong one, for which there are no labels."""
