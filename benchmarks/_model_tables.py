"""The tables of docs/ about large models: forms of training, and planned memory."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks._markdown import markdown, number, percent, provenance

FORMS = {
    "plain": "plain",
    "packed": "packed, without padding",
    "zero3": "parameters sharded (ZeRO-3)",
    "lora": "LoRA adapters",
}


def parallel(*results: tuple[str, dict[str, Any]]) -> str:
    """Ranks, memory and time of each form, and how far its figures are from the plain form's."""
    ((_, result),) = results
    rows = [
        [
            FORMS[row["form"]],
            str(result["config"]["ranks"][row["form"]]),
            f"{row['peak_mb']:.0f}",
            f"{statistics.median(row['step_s']):.2f}",
        ]
        for row in result["repeats"]
    ]
    seconds = "seconds of a step"
    if load := result["config"].get("load_average"):
        seconds += f" (load average {load:.0f} on {result['environment']['cores']} cores)"
    columns = ["form", "ranks", "peak resident memory of a rank, MB", seconds]
    gaps = [[what, number(gap)] for what, gap in result["config"]["gaps"].items()]
    return "\n\n".join(
        [markdown(columns, rows), markdown(["largest relative difference", ""], gaps), provenance(result)]
    )


def plan(*results: tuple[str, dict[str, Any]]) -> str:
    """Planned and measured memory of a learner."""
    ((_, result),) = results
    rows = [
        [
            f"{row['parameters'] / 1e6:.0f} million",
            f"{row['planned_mb']:.0f}",
            f"{row['measured_mb']:.0f}",
            percent(row["planned_mb"] / row["measured_mb"] - 1),
        ]
        for row in result["repeats"]
    ]
    columns = ["parameters", "planned, MB", "measured, MB", "error, percent"]
    return f"{markdown(columns, rows)}\n\n{provenance(result)}"


def plan_paper(*results: tuple[str, dict[str, Any]]) -> str:
    """What large models would need on GPUs, by the plan alone."""
    ((_, result),) = results
    rows = [
        [row["model"], str(row["gpus"]), f"{row['learner_gib']:.0f}", _fits_with(row["settings"])]
        for row in result["config"]["paper"]
    ]
    return markdown(["parameters", "GPUs", "learner with the default settings, GiB", "fits with"], rows)


def _fits_with(settings: list[str] | None) -> str:
    if settings is None:
        return "no setting of this layout"
    return " ".join(f"`{setting}`" for setting in settings) or "the default settings"
