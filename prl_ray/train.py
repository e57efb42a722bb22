"""``python -m prl_ray.train +cluster=local``: the whole recipe, label → sft → prm → ppo → evaluate."""

from __future__ import annotations

import prl_ray
from prl_ray import cli

DESCRIPTION = """Trains a code model with line-level process rewards. Stages with an artifact of the same inputs are
skipped. The same command resumes an interrupted run from its newest checkpoint.

examples:
  python -m prl_ray.train +cluster=local
  python -m prl_ray.train model=tiny loop.steps=40 tracking=off
  python -m prl_ray.train reward=outcome stages=[ppo,evaluate]
  python -m prl_ray.train problems=mbpp problems.path=mbpp.jsonl"""


def main(overrides: list[str]) -> None:
    """Validates the config, then runs its stages."""
    prl_ray.run(prl_ray.compose(overrides))


def command() -> None:
    """The command ``prl-ray-train``."""
    cli.run_composed("prl_ray.train", DESCRIPTION, main)


if __name__ == "__main__":
    command()
