"""Reward models on the labelled lines: the PRM, and the ORM if the reward, the critic or the evaluation needs one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from prl_ray.actors.critic_plan import CriticPlan
from prl_ray.actors.handles import ask
from prl_ray.actors.supervised import SupervisedTrainer
from prl_ray.actors.waiting import wait
from prl_ray.artifacts import Artifact
from prl_ray.config import Config
from prl_ray.errors import ModelError
from prl_ray.examples import Example, Task, label_weights
from prl_ray.fingerprints import code_version, fingerprint
from prl_ray.inputs import RunInputs
from prl_ray.models.policy import load_tokenizer
from prl_ray.models.reward_model import check_reward_folder
from prl_ray.seeds import numpy_stream
from prl_ray.stages import label, rollouts, sft
from prl_ray.stages.context import RunContext
from prl_ray.stages.supervised import Ranks, train
from prl_ray.supervision import UNLABELLED, LabelledProgram, in_units, load_labels, without_repeats
from prl_ray.supervision.calibration import auroc, calibration_error, cross_entropy, fit_temperature, sigmoid
from prl_ray.supervision.quality import average_precision

name = "prm"
CODE = (*sft.TRAINING_CODE, "prl_ray/supervision", "prl_ray/stages/prm.py")


def artifact(inputs: RunInputs, kind: Task = "prm") -> Artifact:
    """The reward model of a kind (``prm`` or ``orm``), a Hugging Face folder with a token-classification head."""
    config = inputs.config
    if kind == "prm" and config.prm.path:
        return Artifact.of(inputs.store, kind, given=fingerprint(_given(config)))
    upstream: dict[str, object] = {"labels": label.artifact(inputs), "sft": sft.artifact(inputs)}
    if config.prm.rollouts:
        upstream["rollouts"] = rollouts.artifact(inputs)
    read = [key for key in vars(config.prm) if key != "path" and not key.startswith(("rollout", "online"))]
    return Artifact.of(
        inputs.store,
        kind,
        **inputs.model_inputs,
        **upstream,
        **(inputs.unit_inputs if kind == "prm" else {}),
        prm={key: getattr(config.prm, key) for key in read},
        seed=config.seed,
        code=code_version(CODE),
    )


def artifacts(inputs: RunInputs) -> list[Artifact]:
    """The labelled rollouts, if any, and the reward models."""
    learnt_from = [rollouts.artifact(inputs)] if inputs.config.prm.rollouts else []
    return [*learnt_from, *(artifact(inputs, kind) for kind in trained_kinds(inputs.config))]


def check(inputs: RunInputs) -> None:
    """Raises ``ModelError`` where ``prm.path`` holds no PRM for this policy."""
    if inputs.config.prm.path:
        check_judge(inputs, _given(inputs.config), "prm")


def check_judge(inputs: RunInputs, folder: Path, kind: str) -> None:
    """Raises ``ModelError`` unless the folder holds a reward model of ``kind`` for the policy's tokenizer and the run's
    ``lines.unit``."""
    check_reward_folder(folder, kind, inputs.config.unit)
    if load_tokenizer(folder).get_vocab() != load_tokenizer(inputs.base).get_vocab():
        raise ModelError(
            f"{folder} has another tokenizer than the policy ({inputs.base}): give a {kind} trained from that model"
        )


def run(context: RunContext) -> None:
    """Makes the ``prm`` artifact, and the ``orm`` artifact if it is needed."""
    if context.config.prm.rollouts:
        rollouts.run(context)
    for kind in trained_kinds(context.config):
        if kind == "prm" and context.config.prm.path:
            context.produce(artifact(context.inputs, kind), f"prm in {_given(context.config)}", _copy)
        else:
            context.produce(artifact(context.inputs, kind), f"{kind} on labelled lines", _make)


def trained_kinds(config: Config) -> list[Task]:
    """The reward models that the stage trains: the PRM, which also scores and reranks programs after the run, and the
    ORM if PPO needs it or the evaluation without a configured folder."""
    chosen = config.evaluate
    orm = "orm" in CriticPlan.of(config).reward_models or ("orm" in chosen.rerank and not chosen.rerank_path("orm"))
    return ["prm", "orm"] if orm else ["prm"]


def _given(config: Config) -> Path:
    """The folder ``prm.path``."""
    return Path(config.prm.path).expanduser().resolve()


def _copy(context: RunContext, made: Artifact) -> None:
    with made.write() as folder:
        shutil.copytree(_given(context.config), folder, dirs_exist_ok=True)


def _make(context: RunContext, made: Artifact) -> None:
    inputs = context.inputs
    kind: Task = "prm" if made.stage == "prm" else "orm"
    written = load_labels(rollouts.artifact(inputs).need() / "labels") if context.config.prm.rollouts else []
    problems = {p.task_id: p for p in context.fitting(inputs.train_slices["label"])}
    rows = [r for r in load_labels(label.artifact(inputs).need() / "labels") if r.task_id in problems]
    held_out = held_out_tasks(rows, context.config.prm.held_out_share, context.config.seed)
    unit = context.config.unit
    rows = [in_units(row, unit) for row in (*rows, *written)]
    if kind == "prm":  # lines before the change are in every variant: one label each is enough
        rows = [row for row in without_repeats(rows, unit) if set(row.line_labels) != {UNLABELLED}]

    def examples(chosen: Sequence[LabelledProgram]) -> list[Example]:
        return [Example(problems[r.task_id], r.program, r.line_labels, r.passed) for r in chosen]

    start_from = sft.artifact(inputs).need() if context.config.prm.init == "sft" else inputs.base
    test = examples([r for r in rows if r.task_id in held_out])

    def read_held_out(ranks: Ranks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits, labels and their weights."""
        answers = [ask(rank, SupervisedTrainer.predict, test) for rank in ranks]
        logits, labels = wait(answers, "held-out scores", context.config.cluster.request_timeout_s)[0]
        return logits, labels, label_weights(labels, context.config.prm.balance)

    def held_out_loss(ranks: Ranks) -> float:
        logits, labels, weights = read_held_out(ranks)
        return cross_entropy(logits, labels, weights)

    with made.write() as folder:

        def finish(ranks: Ranks) -> None:
            logits, labels, weights = read_held_out(ranks)
            temperature = fit_temperature(logits, labels, weights=weights)
            figures = _quality(logits / temperature, labels, weights) | {"temperature": temperature}
            context.tracker.log(0, figures, stage=f"{kind}-held-out")
            context.console.note(
                f"held-out problems: AUROC {figures['held_out/auroc']:.3f}, calibration error "
                f"{figures['held_out/ece']:.3f} over {len(labels)} labels"
            )
            sft.save_into(context, ranks, folder, temperature)

        learnt = examples([r for r in rows if r.task_id not in held_out])
        train(context, kind, context.config.prm, start_from, learnt, finish, held_out_loss)


def _quality(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Metrics of held-out lines from calibrated logits, 0/1 labels and their weights (``[line]``)."""
    p = sigmoid(logits)
    return {
        "held_out/auroc": auroc(p, labels),
        "held_out/average_precision": average_precision(-p, labels == 0),
        "held_out/ece": calibration_error(p, labels, weights=weights),
        "held_out/positive_share": float(np.mean(labels)) if len(labels) else 0.0,
        "held_out/labels": float(len(labels)),
    }


def held_out_tasks(rows: Sequence[LabelledProgram], share: float, seed: int) -> set[str]:
    """Task ids of the labelled problems held out from a reward model: whole problems, never only some variants of one,
    since the model must not have seen the reference."""
    tasks = sorted({r.task_id for r in rows})
    count = max(1, round(share * len(tasks)))
    return {tasks[i] for i in numpy_stream(seed, "held-out problems").permutation(len(tasks))[:count]}
