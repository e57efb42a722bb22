"""Counters of the server, in the text format that Prometheus reads."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_PREFIX = "sandbox_workers"
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counts requests, verdicts and seconds. Thread-safe; nothing is ever counted down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[Labels] = Counter()
        self._verdicts: Counter[Labels] = Counter()
        self._within: Counter[float] = Counter()
        self._seconds = 0.0
        self._answers = 0
        self._abandoned = 0

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count one answer, ``seconds`` after its request had arrived."""
        with self._lock:
            self._requests[(("route", route), ("status", str(status)))] += 1
            self._seconds += seconds
            self._answers += 1
            for bound in BUCKETS_S:
                self._within[bound] += seconds <= bound

    def verdict(self, status: str) -> None:
        """Count one verdict."""
        with self._lock:
            self._verdicts[(("status", status),)] += 1

    def abandoned(self) -> None:
        """Count one request whose client did not wait for its answer."""
        with self._lock:
            self._abandoned += 1

    def text(self, gauges: Mapping[str, tuple[str, float]], counters: Mapping[str, tuple[str, float]]) -> str:
        """Everything counted, and further values by name: description and present value."""
        with self._lock:
            histogram = [((("le", str(bound)),), self._within[bound]) for bound in BUCKETS_S]
            lines = [
                *_metric("requests_total", "counter", "Requests answered.", sorted(self._requests.items())),
                *_metric("verdicts_total", "counter", "Verdicts given.", sorted(self._verdicts.items())),
                *_metric("abandoned_total", "counter", "Requests given up by their clients.", [((), self._abandoned)]),
                *_metric("request_seconds", "histogram", "Seconds from a request to its answer.", ()),
                *_samples("request_seconds_bucket", [*histogram, ((("le", "+Inf"),), self._answers)]),
                *_samples("request_seconds_sum", [((), self._seconds)]),
                *_samples("request_seconds_count", [((), self._answers)]),
            ]
        for kind, values in (("gauge", gauges), ("counter", counters)):
            for name, (meaning, value) in values.items():
                lines += _metric(name, kind, meaning, [((), value)])
        return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, meaning: str, samples: Iterable[tuple[Labels, float]]) -> list[str]:
    return [f"# HELP {_PREFIX}_{name} {meaning}", f"# TYPE {_PREFIX}_{name} {kind}", *_samples(name, samples)]


def _samples(name: str, samples: Iterable[tuple[Labels, float]]) -> list[str]:
    return [f"{_PREFIX}_{name}{_braces(labels)} {value:g}" for labels, value in samples]


def _braces(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}" if labels else ""
