"""The comparison of one sample's lines by an estimator, recomputed from the stored columns with the learner's
functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prl_ray.credit.locators import LOCATORS
from prl_ray.errors import ConfigError
from prl_ray.ppo.advantages import AdvantageInputs, Estimator, leave_one_out, sample_totals
from prl_ray.ppo.line_credit import FAILING, MIXED, UNKNOWN, LineCredit, compare, group_kinds
from prl_ray.ppo.line_estimators import gate, line_group, state_anchor, vine
from prl_ray.ppo.line_values import state_values, vine_values
from prl_ray.tracking.sample_schema import GROUP_KINDS
from prl_ray.view.history import short

LINE_COLUMNS = [
    "status",
    "finished",
    "located_line",
    "wrong_found_by",
    "line_compared",
    "line_tokens",
    "line_state",
    "line_value",
]
VALUED = {state_anchor: "states", vine: "completions"}
"""The rule of each estimator that gives a line the difference of two values."""
_PARAMS = "algorithm.estimator_params."


class Line(TypedDict, total=False):
    """The numbers of one line; each rule sets some of them."""

    compared: bool
    """Whether the estimator compares it: not neutral, and it changes a value."""
    reached: bool
    """Whether no line before it is wrong."""
    evident: bool
    """Whether it is known to be right or wrong; it gets credit only then."""
    y: float
    """0 for the first wrong line, 1 for the lines before it."""
    baseline: float | None
    """Mean ``y`` of the others."""
    others: int
    by_depth: bool
    """Whether the others are lines of equal depth in the whole step, since no other sample of the prompt reaches it."""
    before: float | None
    after: float | None
    """Value before and after the line."""


class LineNumbers(TypedDict):
    """How one sample's lines were compared."""

    rule: str
    """``outcome`` on all tokens; ``located`` on the first wrong line; ``lines`` against other samples; ``states`` and
    ``completions`` by their values; ``nothing`` if the group gives no signal."""
    kind: str
    """Kind of the group: ``passing``, ``mixed`` or ``failing``."""
    located: int | None
    """The first wrong line by the run's locator; None if it is unknown or the program is right."""
    difference: float | None
    """The sample's total minus the others' mean: the outcome's advantage."""
    weight: float
    """Numbers of the comparison with other samples."""
    lines: list[Line]


def estimator_params(settings: Mapping[str, object]) -> dict[str, object]:
    """``algorithm.estimator_params`` of a run's dotted keys."""
    return {key.removeprefix(_PARAMS): value for key, value in settings.items() if key.startswith(_PARAMS)}


def without_params(settings: Mapping[str, object]) -> dict[str, object]:
    """The settings without ``algorithm.estimator_params``."""
    return {key: value for key, value in settings.items() if not key.startswith(_PARAMS)}


def compared_lines(table: pa.Table, settings: Mapping[str, object]) -> LineCredit | None:
    """The estimator's lines of a step's learnt samples; None if the run did not store them."""
    compared = table.column("line_compared")
    if compared.null_count:
        return None
    counts = pc.list_value_length(compared).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    tokens = np.concatenate([[0], np.cumsum(pc.list_value_length(table.column("loss_weight")).to_numpy())])
    finished = table.column("finished").to_numpy()
    cut_fails = str(settings.get("reward.truncated", "")) == "fail"
    passed = np.array([status == "passed" for status in table.column("status").to_pylist()], dtype=np.bool_)
    ends = flat(table, "line_tokens").to_numpy(zero_copy_only=False)
    return LineCredit(
        offsets=offsets,
        ends=ends.astype(np.int64) + np.repeat(tokens[:-1], counts).astype(np.int64),
        counted=flat(table, "line_compared").to_numpy(zero_copy_only=False).astype(np.bool_),
        wrong=table.column("located_line").fill_null(UNKNOWN).to_numpy().astype(np.int64),
        ok=passed & (finished | ~np.bool_(cut_fails)),
        values=None
        if table.column("line_value").null_count
        else flat(table, "line_value").to_numpy(zero_copy_only=False).astype(np.float64),
        proven=np.array([name != "error" for name in table.column("wrong_found_by").to_pylist()])
        if _by_execution(settings)
        else None,
        states=flat(table, "line_state").fill_null(UNKNOWN).to_numpy(zero_copy_only=False).astype(np.int64),
    )


def _by_execution(settings: Mapping[str, object]) -> bool:
    try:
        return LOCATORS.find(str(settings.get("algorithm.locator", ""))).needs == "execution"
    except ConfigError:  # one of the run's own, which is not installed here
        return False


def line_numbers(
    found: Estimator, inputs: AdvantageInputs, own: int, settings: Mapping[str, object]
) -> LineNumbers | None:
    """The numbers of the sample ``own`` under one of the built-in line estimators; None for any other estimator."""
    lines = inputs.lines
    if lines is None or found not in (line_group, gate, *VALUED):
        return None
    valid = np.ones(len(lines.ok), dtype=np.bool_) if inputs.valid is None else np.asarray(inputs.valid, np.bool_)
    params = (found.function.__kwdefaults__ or {}) | estimator_params(settings)
    kind = int(group_kinds(lines.ok, inputs.prompt_ids, valid)[own])
    wrong = int(lines.wrong[own])
    rule = _rule(found, kind, bool(lines.ok[own]), wrong, params.get("part")) if valid[own] else "nothing"
    at = slice(int(lines.offsets[own]), int(lines.offsets[own + 1]))
    return {
        "rule": rule,
        "kind": GROUP_KINDS.get(kind, ""),
        "located": wrong if 0 <= wrong < at.stop - at.start else None,
        "difference": short(float(leave_one_out(inputs)[own])),
        "weight": float(str(params.get("weight", 1.0))),
        "lines": _values(inputs, lines, rule, valid, at)
        if rule in VALUED.values()
        else _comparisons(inputs, lines.at_equal_state() if params.get("places") == "state" else lines, valid, at),
    }


def _rule(found: Estimator, kind: int, ok: bool, wrong: int, part: object) -> str:
    if found is not gate:
        return VALUED.get(found, "lines")
    if kind == FAILING:
        return "nothing" if part == "mixed" else "lines"
    if kind != MIXED:
        return "nothing"
    return "outcome" if ok or wrong == UNKNOWN or part == "failing" else "located"


def _comparisons(inputs: AdvantageInputs, lines: LineCredit, valid: np.ndarray, at: slice) -> list[Line]:
    found, evident = compare(lines, inputs.prompt_ids, valid), lines.evident
    return [
        {
            "compared": bool(lines.counted[i]),
            "reached": bool(found.reached[i]),
            "evident": bool(evident[i]),
            "y": float(found.y[i]),
            "baseline": short(float(found.baseline[i])),
            "others": int(found.others[i]),
            "by_depth": bool(found.by_depth[i]),
        }
        for i in range(at.start, at.stop)
    ]


def _values(inputs: AdvantageInputs, lines: LineCredit, rule: str, valid: np.ndarray, at: slice) -> list[Line]:
    if rule == "states":
        before, after = state_values(sample_totals(inputs.rewards, inputs.offsets), lines, inputs.prompt_ids, valid)
    else:
        before, after = vine_values(lines, inputs.prompt_ids, valid)
    return [
        {"compared": bool(lines.counted[i]), "before": short(float(before[i])), "after": short(float(after[i]))}
        for i in range(at.start, at.stop)
    ]


def flat(table: pa.Table, name: str) -> pa.Array:
    """A column of lists, concatenated."""
    return table.column(name).combine_chunks().flatten()
