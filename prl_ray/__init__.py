"""prl_ray: process-supervised reinforcement learning for code, on Ray.

    import prl_ray

    config = prl_ray.compose(["model=tiny", "reward=outcome", "loop.steps=40", "tracking=off"])
    evaluation = prl_ray.run(config)

The commands use the same two functions. Importing the package is cheap: Ray, torch, vLLM and DeepSpeed are imported
only by the modules that need them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prl_ray.config import Config
    from prl_ray.tracking import Console

__version__ = "0.1.0"
__all__ = ["__version__", "compose", "run"]


def compose(overrides: Sequence[str] = ()) -> Config:
    """The validated config of Hydra overrides, such as ``["reward=outcome", "loop.steps=4"]``.

    Raises:
        ConfigError: a group option, key or value that does not exist, with the nearest right one.
    """
    from prl_ray.config.composition import compose

    return compose(overrides)


def run(config: Config, console: Console | None = None) -> Mapping[str, object]:
    """Runs the recipe: the stages of ``config`` whose artifacts do not exist yet, in order.

    Args:
        config: From :func:`compose`.
        console: Where progress is printed; standard output by default.

    Returns:
        The figures of the evaluation, as in ``evaluation.json``; empty if the stage ``evaluate`` is left out.

    Raises:
        PrlRayError: says what is wrong and what to do. The same call resumes the run.
    """
    from prl_ray.recipe import run_recipe

    return run_recipe(config, console)
