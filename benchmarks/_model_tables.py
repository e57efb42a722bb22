"""The tables of docs/ about large models: forms of training, and planned memory."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks._markdown import estimate, markdown, number, percent, provenance

_HOW = ("sampled", "greedy")
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


def code_model(*results: tuple[str, dict[str, Any]]) -> str:
    """pass@1 of each policy, what PPO gained, and the memory and speed of the run."""
    ((_, result),) = results
    (run,) = result["repeats"]
    names = {"base": "before SFT", "sft": "SFT", "ppo": "PPO, gate with exact locations"}
    rows = [
        [name, *(estimate(run["policies"][policy][how]["pass@1"], run["policies"][policy][how]["se"]) for how in _HOW)]
        for policy, name in names.items()
    ]
    gain = run["gain"]["ppo-sft"]
    rows.append(["gain over SFT, paired", *(estimate(gain[how]["gain"], gain[how]["se"], "+") for how in _HOW)])
    h, memory = result["headline"], sorted(run["peak_gb"].items(), key=lambda item: -item[1])
    text = (
        f"{run['n_problems']} problems; {run['minutes']:.0f} minutes. A step takes {h['step_s']:.0f} s: it samples "
        f"{h['sampled_per_s']:.0f} tokens a second and learns {h['learnt_per_s']:.0f}. All processes together take "
        f"{h['peak_gb']:.1f} GB at most ({', '.join(f'{role} {gb:.1f}' for role, gb in memory)}). {provenance(result)}"
    )
    return f"{markdown(['MBPP test, percent ± standard error', 'pass@1', 'greedy pass@1'], rows)}\n\n{text}"


def _fits_with(settings: list[str] | None) -> str:
    if settings is None:
        return "no setting of this layout"
    return " ".join(f"`{setting}`" for setting in settings) or "the default settings"
