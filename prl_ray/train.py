"""``python -m prl_ray.train +cluster=local``: the whole recipe, label → sft → reward → ppo → evaluate."""

from __future__ import annotations

from prl_ray import cli

DESCRIPTION = """Trains a code model with line-level process rewards. Stages whose result exists for the same inputs are
skipped; a run that was interrupted goes on from its newest checkpoint when the same command is given again.

examples:
  python -m prl_ray.train +cluster=local
  python -m prl_ray.train model=tiny loop.steps=40 tracking=off
  python -m prl_ray.train reward=outcome stages=[ppo,evaluate]
  python -m prl_ray.train problems=mbpp problems.path=mbpp.jsonl"""


def main(overrides: list[str]) -> None:
    """Validates the config, then runs its stages."""
    config = cli.configure(overrides)
    # torch, Ray and vLLM take seconds to import: only now
    from prl_ray.recipe import run_recipe
    from prl_ray.tracking import Console

    run_recipe(config, Console())


if __name__ == "__main__":
    cli.run("prl_ray.train", DESCRIPTION, main)
