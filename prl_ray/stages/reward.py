"""Reward models on the labelled lines: the PRM, and the ORM where the reward or the evaluation needs one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from prl_ray.actors.fleet import wait
from prl_ray.actors.supervised import Example, label_weights
from prl_ray.artifacts import Artifact
from prl_ray.recipe import Run
from prl_ray.stages.rollouts import labelled_rollouts
from prl_ray.stages.sft import save_into
from prl_ray.stages.supervised import train
from prl_ray.supervision import UNLABELLED, LabelledProgram, in_units, load_labels, without_repeats
from prl_ray.supervision.calibration import auroc, calibration_error, cross_entropy, fit_temperature, sigmoid
from prl_ray.supervision.quality import average_precision


def reward(run: Run) -> None:
    """Makes the ``prm`` (and ``orm``) artifacts, Hugging Face folders with a token-classification head."""
    rollouts = labelled_rollouts(run) if run.config.prm.rollouts else []
    for kind in run.trained_reward_models:
        made = run.artifact(kind)
        if made.exists:
            run.console.skipped(f"reward ({kind})", str(made.folder))
        else:
            with run.console.stage("reward", f"{kind} on labelled lines"):
                _train(run, kind, made, rollouts)
        run.link(made)


def _train(run: Run, kind: str, made: Artifact, rollouts: Sequence[LabelledProgram]) -> None:
    problems = {p.task_id: p for p in run.train_slices["label"]}
    rows = load_labels(run.artifact("label").need() / "labels")
    held_out = held_out_tasks(rows, run.config.prm.held_out_share, run.config.seed)
    unit = run.config.unit
    rows = [in_units(row, unit) for row in (*rows, *rollouts)]
    if kind == "prm":  # lines before the change stand in every variant: once is enough
        rows = [row for row in without_repeats(rows, unit) if set(row.line_labels) != {UNLABELLED}]

    def examples(chosen: Sequence[LabelledProgram]) -> list[Example]:
        return [Example(problems[r.task_id], r.program, r.line_labels, r.passed) for r in chosen]

    start_from = run.artifact("sft").need() if run.config.prm.init == "sft" else run.base
    test = examples([r for r in rows if r.task_id in held_out])

    def read_held_out(ranks: list[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits, labels and their weights."""
        logits, labels = wait(ranks[0].predict.remote(test), "held-out scores", run.config.cluster.request_timeout_s)
        return logits, labels, label_weights(labels, run.config.prm.balance)

    def held_out_loss(ranks: list[Any]) -> float:
        logits, labels, weights = read_held_out(ranks)
        return cross_entropy(logits, labels, weights)

    with made.made() as folder:

        def finish(ranks: list[Any]) -> None:
            logits, labels, weights = read_held_out(ranks)
            temperature = fit_temperature(logits, labels, weights=weights)
            p = sigmoid(logits / temperature)
            figures = {
                "held_out/auroc": auroc(p, labels),
                "held_out/average_precision": average_precision(-p, labels == 0),
                "held_out/ece": calibration_error(p, labels, weights=weights),
                "held_out/positive_share": float(np.mean(labels)) if len(labels) else 0.0,
                "held_out/labels": float(len(labels)),
                "temperature": temperature,
            }
            run.tracker.log(0, figures, stage=f"{kind}-held-out")
            run.console.note(
                f"held-out problems: AUROC {figures['held_out/auroc']:.3f}, calibration error "
                f"{figures['held_out/ece']:.3f} over {len(labels)} labels"
            )
            save_into(run, ranks, folder, temperature)

        learnt = examples([r for r in rows if r.task_id not in held_out])
        train(run, kind, run.config.prm, start_from, learnt, finish, held_out_loss)  # type: ignore[arg-type]


def held_out_tasks(rows: Sequence[LabelledProgram], share: float, seed: int) -> set[str]:
    """Task ids of the labelled problems that a reward model does not learn: whole problems, never some variants of one,
    since it must not have seen the reference."""
    tasks = sorted({r.task_id for r in rows})
    count = max(1, round(share * len(tasks)))
    return {tasks[i] for i in np.random.default_rng(seed).permutation(len(tasks))[:count]}
