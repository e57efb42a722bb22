"""Number, kinds and rules of labels."""

from __future__ import annotations

from dataclasses import dataclass

from prl_ray.errors import ConfigError
from prl_ray.options import check_options, option
from prl_ray.supervision.operators import OPERATORS

AFTER_ERROR = ("drop", "negative", "original")


@dataclass
class LabelConfig:
    """Budget, sampling weights and label rules of one labelling run.

    Raises:
        ConfigError: a value is out of its bounds, or a weight names no operator.
    """

    variants_per_problem: int = option(4, "Number of mutations and refactorings kept per problem.", low=0)
    refactoring_share: float = option(
        0.25, "Share of refactorings (changed lines that stay right) among the kept variants.", low=0, high=1
    )
    oversample: float = option(3.0, "Number of variants executed per kept variant.", low=1, high=100)
    on_refactored: float = option(
        0.3,
        "Share of mutations applied to a refactored program, so that style does not reveal the label.",
        low=0,
        high=1,
    )
    truncations_per_problem: int = option(
        1, "Number of truncated references per problem, which label stopping too early.", low=0
    )
    max_crash_share: float = option(0.4, "Maximum share of negatives that crash and pass no test.", low=0, high=1)
    after_error: str = option("drop", "Labels of lines after the changed one.", choices=AFTER_ERROR)
    differential_inputs: int = option(
        8, "Extra inputs on which a refactoring must agree with the reference; with 0 only the tests decide.", low=0
    )
    keep_unknown: bool = option(False, "Also keep rows of surviving mutations, whose changed line has no label.")
    weights: dict[str, float] = option(
        {}, "Sampling weights that replace the operators' defaults; 0 disables an operator."
    )
    operators: list[str] = option(
        [], "Your own operators, in addition to the registered ones: package.module:function."
    )
    seed: int = option(0, "Seed of the choice of variants, in addition to the run's seed; 0 for that alone.", low=0)
    retries: int = option(2, "Times that a program is run again after a sandbox error.", low=0, high=10)
    chunk: int = option(32, "Problems that are labelled together.", low=1)

    def __post_init__(self) -> None:
        check_options(self, "teacher.")
        self.load_operators()
        for name, weight in self.weights.items():
            try:
                OPERATORS.find(name)
            except ConfigError as error:
                raise ConfigError(f"config: teacher.weights.{name}: {error}") from error
            if weight < 0:
                raise ConfigError(f"config: teacher.weights.{name}={weight} is below its minimum 0")

    @property
    def operator_modules(self) -> set[str]:
        """Modules of ``operators``."""
        return {path.partition(":")[0] for path in self.operators if ":" in path}

    def load_operators(self) -> None:
        """Imports ``operators``, which registers them in this process. Raises ``ConfigError`` for one that is not an
        operator."""
        for path in self.operators:
            OPERATORS.find(path)
