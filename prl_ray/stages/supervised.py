"""Supervised training of the SFT policy and the reward models: drives the ranks of ``SupervisedTrainer``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from prl_ray.actors.engine import EngineSettings
from prl_ray.actors.finite import skip_causes
from prl_ray.actors.handles import Handle, ask
from prl_ray.actors.supervised import SupervisedSetup, SupervisedTrainer
from prl_ray.actors.waiting import wait
from prl_ray.config import PrmConfig, SftConfig
from prl_ray.examples import Example, Task
from prl_ray.models.reward_model import Form
from prl_ray.seeds import derive
from prl_ray.stages.context import RunContext
from prl_ray.supervision.stopping import EarlyStopping

Ranks = list[Handle[SupervisedTrainer]]


def train(
    context: RunContext,
    task: Task,
    settings: SftConfig | PrmConfig,
    start_from: Path,
    examples: Sequence[Example],
    finish: Callable[[Ranks], None],
    held_out_loss: Callable[[Ranks], float] | None = None,
) -> None:
    """Trains on ``examples`` and calls ``finish`` with the ranks while they still hold the trained model.

    With ``held_out_loss`` and more than one epoch, the model of the epoch with the lowest held-out loss is kept, and
    training stops early when no lower one follows.
    """
    cluster = context.config.cluster
    ranks = context.fleet.start_trainer(_setup(context, task, settings, start_from), examples)
    try:
        plans = [ask(r, SupervisedTrainer.steps) for r in ranks]
        plan = wait(plans, f"the {task} trainer to start", cluster.start_timeout_s)[0]
        context.console.note(f"{plan['examples']} programs, {plan['tokens']} tokens, {plan['steps']} steps")
        context.tracker.rewind(task)
        stopping = EarlyStopping(settings.patience if isinstance(settings, PrmConfig) else 0)
        steps_per_epoch = plan["steps"] // settings.epochs
        with context.console.progress(task, plan["steps"]) as advance:
            for number in range(plan["steps"]):
                answers = [ask(r, SupervisedTrainer.step, number) for r in ranks]
                metrics = wait(answers, f"{task} step {number + 1}", cluster.request_timeout_s)[0]
                if held_out_loss and settings.epochs > 1 and (number + 1) % steps_per_epoch == 0:
                    metrics["held_out/loss"] = _judged(ranks, stopping, held_out_loss, cluster.request_timeout_s)
                context.tracker.log(number, metrics, stage=task)
                if causes := skip_causes(metrics):
                    context.console.warn(f"{task} step {number + 1} learnt nothing: {causes} not finite")
                advance(1, note=f"loss {metrics.get('loss', math.nan):.3f}")
                if stopping.exhausted:
                    break
        if stopping.epoch:
            context.console.note(f"epoch {stopping.epoch} is kept: held-out loss {stopping.loss:.3f}")
        if not stopping.last_is_best:
            wait([ask(r, SupervisedTrainer.recall) for r in ranks], "the best weights", cluster.request_timeout_s)
        finish(ranks)
    finally:
        context.fleet.stop(ranks)


def _setup(context: RunContext, task: Task, settings: SftConfig | PrmConfig, start_from: Path) -> SupervisedSetup:
    config, algorithm = context.config, context.config.algorithm
    return SupervisedSetup(
        task=task,
        start_from=start_from,
        engine=EngineSettings(
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            max_grad_norm=algorithm.max_grad_norm,
            zero_stage=algorithm.zero_stage,
            offload=algorithm.offload,
            dtype=context.inputs.dtype,
        ),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        warmup_share=settings.warmup_share,
        micro_batch_tokens=algorithm.micro_batch_tokens,
        packed=algorithm.packed,
        seed=derive(config.seed, task),
        unit=config.unit,
        model=config.model,
        form=cast(Form, settings.form) if isinstance(settings, PrmConfig) and task == "prm" else "head",
        balance=isinstance(settings, PrmConfig) and settings.balance,
    )


def _judged(ranks: Ranks, stopping: EarlyStopping, held_out_loss: Callable[[Ranks], float], timeout_s: float) -> float:
    """The held-out loss of an epoch, whose weights are remembered if it is the lowest so far."""
    loss = held_out_loss(ranks)
    if stopping.improves(loss):
        wait([ask(r, SupervisedTrainer.remember) for r in ranks], "the weights to be kept", timeout_s)
    return loss
