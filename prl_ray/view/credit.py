"""The computation of the loss of one sample's tokens, step by step, with the learner's own functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from prl_ray.errors import PrlRayError
from prl_ray.ppo.advantages import (
    BY_LINE,
    ESTIMATORS,
    AdvantageInputs,
    Estimator,
    leave_one_out,
    less_group_mean,
    sample_totals,
)
from prl_ray.ppo.whitening import scale_of, scaled, weigh_negative
from prl_ray.view.compared_lines import (
    LINE_COLUMNS,
    compared_lines,
    estimator_params,
    flat,
    line_numbers,
    without_params,
)
from prl_ray.view.files import number
from prl_ray.view.history import History, short, shorts
from sandbox_workers.verdict import UNDECIDED

COLUMNS = ["prompt_id", "status", "learnt", "reward", "kl", "value", "advantage", "loss_weight", *LINE_COLUMNS]
TOLERANCE = 1e-3
"""Tolerance of a recomputed advantage, relative to the largest: columns are stored as float32."""
UNTOLD = {"counted": 0, **dict.fromkeys(("lines", "delta", "raw", "mean", "std", "right"))}
"""Placeholder numbers of an estimator that is not installed, or whose lines are not stored."""
Floats = NDArray[np.float64]


def credit(history: History, step: int, row: int, settings: Mapping[str, object]) -> dict[str, object] | None:
    """The numbers behind the advantages of a sample; None if the learner did not receive it.

    Args:
        history: The run.
        step: The step.
        row: The sample's row in the step's file.
        settings: The run's, as dotted keys.

    Returns:
        ``rewards`` (with the KL penalty and the baseline), ``delta`` and ``raw`` (advantages before whitening) over the
        tokens; ``mean`` and ``std`` of the whitening; the sample's ``total`` and the mean total of the ``others``;
        ``lines``: how its lines were compared (:func:`prl_ray.view.compared_lines.line_numbers`); ``right``: whether
        the recomputed advantages equal the stored ones. Unknown values are None.
    """
    table = history.table(step, COLUMNS)
    learnt = table.column("learnt").to_numpy()
    if not learnt[row]:
        return None
    own = int(learnt[:row].sum())
    table = table.filter(pa.array(learnt))
    beta = _at_step(history, step, "actor/kl_coef", _setting(settings, "algorithm.kl_coef", 0.0))
    in_reward = str(settings.get("algorithm.kl_in", "reward")) == "reward"
    inputs = _inputs(table, beta if in_reward else 0.0, settings)
    found = _estimator(settings)
    if found is not None and _at_step(history, step, "locator/gated", 0.0):
        found, settings = ESTIMATORS["gate"], without_params(settings)
    if found is not None and found.needs in BY_LINE:
        lines = compared_lines(table, settings)
        told = lines is not None and (found.needs != "completions" or lines.values is not None)
        inputs = replace(inputs, lines=lines if told else None)
    taken = found is not None and found.needs == "values" and bool(settings.get("algorithm.group_baseline", True))
    rewards = less_group_mean(inputs) if taken else inputs.rewards
    tokens = slice(int(inputs.offsets[own]), int(inputs.offsets[own + 1]))
    totals, apart = sample_totals(inputs.rewards, inputs.offsets), leave_one_out(inputs)
    numbers: dict[str, object] = {
        "beta": beta,
        "in_reward": in_reward,
        "gamma": inputs.gamma,
        "lam": inputs.lam,
        "negative_scale": _setting(settings, "algorithm.negative_scale", 1.0),
        "rewards": shorts(rewards[tokens].tolist()),
        "taken": short(float(totals[own] - float(rewards[tokens].sum()))) if taken else None,
        "total": short(float(totals[own])),
        "others": short(float(totals[own] - apart[own])),
    }
    if found is None or (found.needs in BY_LINE and inputs.lines is None):
        return numbers | UNTOLD
    of_lines = {"lines": line_numbers(found, inputs, own, settings)}
    return numbers | UNTOLD | of_lines | _advantages(table, inputs, rewards, found, tokens, settings)


def _advantages(
    table: pa.Table,
    inputs: AdvantageInputs,
    rewards: NDArray[np.floating],
    found: Estimator,
    tokens: slice,
    settings: Mapping[str, object],
) -> dict[str, object]:
    """The estimator's advantages, the scale that whitens them, and whether the result equals the stored ones."""
    raw = np.asarray(found(replace(inputs, rewards=rewards), estimator_params(settings)).advantages, np.float64)
    counted = _flat(table, "loss_weight") > 0
    advantages = np.asarray(raw, np.float32)
    scale = scale_of(advantages, counted, sparse=found.sparse) if settings.get("algorithm.whiten", True) else None
    if scale is not None:
        advantages = scaled(advantages, counted, scale)
    advantages = weigh_negative(advantages, _setting(settings, "algorithm.negative_scale", 1.0))
    stored = _flat(table, "advantage")
    gap = np.abs(np.where(counted, advantages - stored, 0.0)).max(initial=0.0)
    result: dict[str, object] = {
        "raw": shorts(raw[tokens].tolist()),
        "mean": short(scale.mean or 0.0) if scale else 0.0,
        "std": short(scale.size) if scale else None,
        "counted": int(counted.sum()),
        "right": bool(gap <= TOLERANCE * max(1.0, float(np.abs(stored).max(initial=0.0)))),
    }
    if found.needs == "values" and inputs.values is not None:
        values = np.asarray(inputs.values[tokens], np.float64)
        after = np.append(values[1:], 0.0)
        result["delta"] = shorts((rewards[tokens] + inputs.gamma * after - values).tolist())
    return result


def _inputs(table: pa.Table, beta: float, settings: Mapping[str, object]) -> AdvantageInputs:
    """The estimator's inputs of a step's learnt samples."""
    counts = pc.list_value_length(table.column("loss_weight")).to_pylist()
    offsets = np.cumsum([0, *counts]).astype(np.int64)
    penalty = beta * np.nan_to_num(_flat(table, "kl"))  # null where no pass read the token
    undecided = [status.value for status in UNDECIDED]
    decided = np.array([status not in undecided for status in table.column("status").to_pylist()])
    if settings.get("reward.truncated") == "mask":
        decided &= table.column("finished").to_numpy(zero_copy_only=False)
    return AdvantageInputs(
        (_flat(table, "reward") - penalty).astype(np.float32),
        offsets,
        table.column("prompt_id").to_numpy(),
        _flat(table, "value").astype(np.float32),
        decided,
        penalty=penalty.astype(np.float32),
        gamma=_setting(settings, "algorithm.gamma", 1.0),
        lam=_setting(settings, "algorithm.lam", 1.0),
    )


def _flat(table: pa.Table, name: str) -> Floats:
    """float64 ``[tokens]``: a column of lists, concatenated."""
    return np.asarray(flat(table, name).to_numpy(zero_copy_only=False), np.float64)


def _at_step(history: History, step: int, name: str, otherwise: float) -> float:
    """A metric at a step; ``otherwise`` if it was not logged."""
    curve = history.curves.get(name)
    logged = dict(zip(curve.steps, curve.values, strict=True)) if curve else {}
    return logged.get(float(step), otherwise)


def _setting(settings: Mapping[str, object], name: str, default: float) -> float:
    found = number(settings.get(name, default))
    return default if found is None else found


def _estimator(settings: Mapping[str, object]) -> Estimator | None:
    """The run's estimator; None if this installation does not have it."""
    try:
        return ESTIMATORS.find(str(settings.get("algorithm.estimator", "gae")))
    except PrlRayError:
        return None
