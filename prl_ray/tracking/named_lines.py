"""Which line of a stored sample each locator names, and how often that is the first wrong one."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from prl_ray.tracking.sample_schema import SampleRow, sample_rows
from sandbox_workers.verdict import UNDECIDED


def locator_counts(table: pa.Table) -> dict[str, dict[str, int]]:
    """Counts for ``executed`` first wrong lines and for those of the ``traceback``.

    ``known``: failures that have one; ``at_0``, ``at_1``, …: where it is; ``prm`` and ``surprise``: how many the lowest
    PRM score and the least likely token name, of those that they were ``_asked`` for.
    """
    columns = ["status", "wrong_line", "error_line", "line_score", "line_tokens", "logprob", "line_neutral"]
    found: dict[str, dict[str, int]] = {"executed": {}, "traceback": {}}
    wanted = pc.or_(pc.is_valid(table.column("wrong_line")), pc.is_valid(table.column("error_line")))
    for row in sample_rows(table.select(columns).filter(wanted)):
        if row["status"] == "passed" or row["status"] in UNDECIDED:
            continue
        named = {name: place for name, place in named_lines(row).items() if place is not None}
        for kind, at in (("executed", row["wrong_line"]), ("traceback", row["error_line"])):
            if at is not None:
                counts = found[kind]
                hits = (name for name, place in named.items() if place == at)
                for key in ("known", f"at_{at}", *hits, *(f"{name}_asked" for name in named)):
                    counts[key] = counts.get(key, 0) + 1
    return {kind: counts for kind, counts in found.items() if counts}


def named_lines(row: SampleRow) -> dict[str, int | None]:
    """Which line each locator names: the lowest PRM score, and the least likely token."""
    counted = [i for i, neutral in enumerate(row["line_neutral"]) if not neutral]
    scores = row["line_score"]
    scored = {i: score for i in counted if (score := scores[i]) is not None}
    least = line_surprise(row["logprob"], row["line_tokens"])
    return {
        "prm": min(scored, key=scored.__getitem__, default=None),
        "surprise": min(counted, key=lambda i: least[i], default=None),
    }


def line_surprise(logprobs: Sequence[float], line_tokens: Sequence[int]) -> list[float]:
    """The lowest log-probability among the tokens of each line; one that ends in the token of the line before has
    that one."""
    starts = [0, *(token + 1 for token in line_tokens)]
    return [min(logprobs[min(a, b) : b + 1]) for a, b in zip(starts, line_tokens, strict=False)]
