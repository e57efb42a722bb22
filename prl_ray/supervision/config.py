"""How many labels are made, of what kind, and what counts as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from prl_ray.errors import ConfigError

AFTER_ERROR = ("drop", "negative", "original")


def option(
    default: Any, text: str, *, low: float | None = None, high: float | None = None, choices: Sequence[str] = ()
) -> Any:
    """A field with its sentence and bounds; the metadata keys are those of ``prl_ray.config.options.option``."""
    metadata = {"text": text, "low": low, "high": high, "choices": tuple(choices)}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class LabelConfig:
    """Budget, sampling weights and label rules of one labelling run.

    Raises:
        ConfigError: a value is out of its bounds, or a weight names no operator.
    """

    variants_per_problem: int = option(4, "Labelled mutations and refactorings that are kept a problem.", low=0)
    refactoring_share: float = option(
        0.25, "Share of the kept variants that are refactorings (changed lines that stay right).", low=0, high=1
    )
    oversample: float = option(3.0, "Variants that are executed for each one that is kept.", low=1, high=100)
    on_refactored: float = option(
        0.3, "Share of the mutations made on a refactored program, so that style gives no label away.", low=0, high=1
    )
    truncations_per_problem: int = option(
        1, "References cut short a problem, so that stopping early is labelled.", low=0
    )
    max_crash_share: float = option(0.4, "Largest share of negatives that pass no test and crash.", low=0, high=1)
    after_error: str = option("drop", "Labels of lines after the changed one.", choices=AFTER_ERROR)
    differential_inputs: int = option(
        8, "Extra inputs on which a refactoring must agree with the reference; 0 leaves the tests to decide.", low=0
    )
    keep_unknown: bool = option(False, "Also keep rows of survivors, whose changed line has no label.")
    weights: dict[str, float] = field(
        default_factory=dict,
        metadata={"text": "Sampling weight of an operator where it differs from the operator's own; 0 turns it off."},
    )
    seed: int = option(0, "Seed of every choice; a problem's variants depend on it and on the problem only.")
    retries: int = option(2, "Times that a program is sent again after the sandbox itself failed.", low=0, high=10)
    chunk: int = option(32, "Problems that are in flight together.", low=1)

    def __post_init__(self) -> None:
        for f in fields(self):
            _check_bounds(f.name, getattr(self, f.name), f.metadata)
        from prl_ray.supervision.operators import OPERATORS  # late: the operators do not need the config

        for name, weight in self.weights.items():
            if name not in OPERATORS:
                raise ConfigError(f"weights: no operator {name!r}; there are {', '.join(sorted(OPERATORS))}")
            if weight < 0:
                raise ConfigError(f"weights.{name} = {weight}: must not be negative")


def _check_bounds(name: str, value: Any, metadata: Any) -> None:
    low, high, choices = metadata.get("low"), metadata.get("high"), metadata.get("choices")
    if choices and value not in choices:
        raise ConfigError(f"{name} = {value!r}: must be one of {', '.join(choices)}")
    if (low is not None and value < low) or (high is not None and value > high):
        raise ConfigError(f"{name} = {value!r}: must lie in [{low}, {'…' if high is None else high}]")
