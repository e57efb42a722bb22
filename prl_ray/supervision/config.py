"""How many labels are made, of what kind, and what counts as one."""

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

    variants_per_problem: int = option(4, "Mutations and refactorings that are kept for each problem.", low=0)
    refactoring_share: float = option(
        0.25, "Share of the kept variants that are refactorings (changed lines that stay right).", low=0, high=1
    )
    oversample: float = option(3.0, "Variants that are executed for each one that is kept.", low=1, high=100)
    on_refactored: float = option(
        0.3, "Share of the mutations made on a refactored program, so that style gives no label away.", low=0, high=1
    )
    truncations_per_problem: int = option(
        1, "References cut short, for each problem, so that stopping early is labelled.", low=0
    )
    max_crash_share: float = option(0.4, "Largest share of negatives that pass no test and crash.", low=0, high=1)
    after_error: str = option("drop", "Labels of lines after the changed one.", choices=AFTER_ERROR)
    differential_inputs: int = option(
        8, "Extra inputs on which a refactoring must agree with the reference; 0 leaves the tests to decide.", low=0
    )
    keep_unknown: bool = option(False, "Also keep rows of survivors, whose changed line has no label.")
    weights: dict[str, float] = option(
        {}, "Sampling weight of an operator where it differs from the operator's own; 0 turns it off."
    )
    operators: list[str] = option([], "Operators of your own, as well as the registered ones: package.module:function.")
    seed: int = option(0, "Seed of every choice of variants, added to the run's.", low=0)
    retries: int = option(2, "Times that a program is sent again after the sandbox itself failed.", low=0, high=10)
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

    def load_operators(self) -> None:
        """Imports ``operators``, which registers them in this process. Raises ``ConfigError`` where one is none."""
        for path in self.operators:
            OPERATORS.find(path)
