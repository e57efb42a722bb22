"""Supervised fine-tuning: the policy learns the references."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prl_ray.actors.fleet import wait
from prl_ray.models.folders import lift
from prl_ray.recipe import Run
from prl_ray.stages.supervised import train


def sft(run: Run) -> None:
    """Makes the ``sft`` artifact, a Hugging Face folder."""
    made = run.artifact("sft")
    if made.exists:
        run.console.skipped("sft", str(made.folder))
        return run.link(made)
    problems = run.train_slices["sft"]
    with run.console.stage("sft", f"{len(problems)} references"), made.made() as folder:

        def finish(ranks: list[Any]) -> None:
            save_into(run, ranks, folder)

        train(run, "sft", run.config.sft, run.base, run.reference_examples(problems), finish)
    return run.link(made)


def save_into(run: Run, ranks: list[Any], folder: Path, *args: Any) -> None:
    """Rank 0 writes its model into ``folder``, which exists already and is empty."""
    aside = folder / "model"
    wait(
        [r.save.remote(aside, *args) for r in ranks],
        "the trained model to be saved",
        run.config.cluster.request_timeout_s,
    )
    lift(aside)
