"""Prometheus metrics of every role, through Ray's own exporter (``ray.util.metrics``; each node's port 8080 or the one
that ``ray start --metrics-export-port`` names).

Ray adds labels for node, worker and session. All names start with ``prl_ray_``; a counter's ends with ``_total``.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

from ray.util.metrics import Counter, Gauge

PREFIX = "prl_ray_"


class Metric(NamedTuple):
    """Name, kind and description of one metric."""

    kind: Literal["counter", "gauge"]
    text: str


METRICS = {
    "verifier_programs": Metric("counter", "Programs with a verdict."),
    "verifier_retries": Metric("counter", "Programs that were run again after a worker or its sandbox failed."),
    "verifier_restarts": Metric("counter", "Verifiers that died and were replaced."),
    "verifier_workers": Metric("gauge", "Ready verifiers."),
    "verifier_waiting": Metric("gauge", "Programs waiting for a verdict."),
    "generator_samples": Metric("counter", "Sampled programs."),
    "generator_tokens": Metric("counter", "Sampled tokens."),
    "scorer_samples": Metric("counter", "Programs scored by the reward models."),
    "learner_steps": Metric("counter", "PPO steps of rank 0."),
    "learner_weight_version": Metric("gauge", "Version of the policy's weights."),
}


def count(name: str, value: float = 1.0) -> None:
    """Adds to a counter."""
    if value:
        _metric(name).inc(value)


def show(name: str, value: float) -> None:
    """Sets a gauge."""
    _metric(name).set(value)


@cache
def _metric(name: str) -> Counter | Gauge:
    kind, text = METRICS[name]
    make = Counter if kind == "counter" else Gauge
    return make(f"{PREFIX}{name}{'_total' if kind == 'counter' else ''}", description=text)
