"""The stages of the recipe, one module each: a function of the :class:`prl_ray.recipe.Run`."""

from collections.abc import Callable
from typing import Any

from prl_ray.stages.evaluate import evaluate
from prl_ray.stages.label import label
from prl_ray.stages.ppo import ppo
from prl_ray.stages.reward import reward
from prl_ray.stages.sft import sft

STAGE_FUNCTIONS: dict[str, Callable[..., dict[str, Any] | None]] = {
    "label": label,
    "sft": sft,
    "reward": reward,
    "ppo": ppo,
    "evaluate": evaluate,
}
