"""Lines of stored samples that locators name, and how often they are the first wrong ones."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from prl_ray.tracking.sample_schema import SampleRow, sample_rows
from sandbox_workers.verdict import UNDECIDED


def locator_counts(table: pa.Table) -> dict[str, dict[str, int]]:
    """Counts for ``executed`` first wrong lines and for those of the ``traceback``.

    ``known``: failures with a first wrong line; ``at_0``, ``at_1``, …: failures by its index; ``prm`` and ``surprise``:
    failures in which the lowest PRM score or the least likely token names it, of ``prm_asked`` and ``surprise_asked``.
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
    """The line that each locator names: by the lowest PRM score, and by the least likely token."""
    counted = [i for i, neutral in enumerate(row["line_neutral"]) if not neutral]
    scores = row["line_score"]
    scored = {i: score for i in counted if (score := scores[i]) is not None}
    least = line_surprise(row["logprob"], row["line_tokens"])
    return {
        "prm": min(scored, key=scored.__getitem__, default=None),
        "surprise": min(counted, key=lambda i: least[i], default=None),
    }


def line_surprise(logprobs: Sequence[float], line_tokens: Sequence[int]) -> list[float]:
    """The lowest log-probability among the tokens of each line; a line that ends in the same token as the previous line
    has that token."""
    starts = [0, *(token + 1 for token in line_tokens)]
    return [min(logprobs[min(a, b) : b + 1]) for a, b in zip(starts, line_tokens, strict=False)]
