"""The tables of docs/results.md about several hosts, faults, and many actors."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks._host_faults import AGENTS
from benchmarks._markdown import markdown, number, provenance

FAULTS = {
    "verifier": "a verifier",
    "pool": "the pool of verifiers",
    "scorer": "the scorer",
    "generator": "the generator",
    "learner": "a learner rank",
    "link": "a link cut for 20 s",
    "host_with_a_rank": "the host of a learner rank",
}


def scale_simulation(*results: tuple[str, dict[str, Any]]) -> str:
    """Processor and wall time of a trajectory by the numbers of verifiers and generators."""
    ((_, result),) = results
    rows = [
        [number(row["verifiers"]), number(row["generators"])]
        + [f"{row[f'{part}_ms']:.2f}" for part in ("driver", "pool", "wall")]
        for row in result["repeats"]
    ]
    columns = ["verifiers", "generators", "driver, ms of CPU", "pool, ms of CPU", "ms of wall time a trajectory"]
    h = result["headline"]
    text = f"From 10 actors on, driver and pool together take at most {h['growth']:.2f} times what they take at 10."
    return f"{markdown(columns, rows)}\n\n{text} {provenance(result)}"


def cluster(*results: tuple[str, dict[str, Any]]) -> str:
    """Steps, starts and verdicts by the number of hosts; then what each fault costs."""
    ((_, result),) = results
    h, repeats = result["headline"], result["repeats"]
    parts = {"join_s": "joining and placing", "actors_s": "starting the actors", "first_step_s": "the first step"}
    rows = [[name, *(f"{row[key]:.1f}" for row in repeats)] for key, name in parts.items()]
    rows.append(["a step, median", *(f"{statistics.median(row['steps_s']):.1f}" for row in repeats)])
    rows.append(["verdicts a second", *(f"{row['verdicts_per_second']:.0f}" for row in repeats)])
    faults = [[FAULTS[name], f"{seconds:.0f}"] for name, seconds in repeats[-1]["recover_s"].items()]
    return "\n\n".join(
        [
            markdown(["seconds of", *(f"{row['hosts']} host{'s' * (row['hosts'] > 1)}" for row in repeats)], rows),
            markdown(["lost in a step on three hosts", "seconds that the step took longer"], faults),
            f"{h['layouts_right']} of {h['layouts_placed']} replays of the documented layouts, in every order of "
            f"placement, were placed right.{_shared(result)} {provenance(result)}",
        ]
    )


def chaos(*results: tuple[str, dict[str, Any]]) -> str:
    """What came of a run under faults; the faults by kind; and memory of the processes that lived long."""
    ((_, result),) = results
    h, config = result["headline"], result["config"]
    compared = config["compared"]
    rows = [
        ["steps", number(h["steps"])],
        ["faults", number(h["faults"])],
        ["largest difference of a final weight", number(compared["weights_max_difference"])],
        ["metrics of steps that differ", number(compared["differing_metrics"])],
        ["steps with other verdicts", number(compared["steps_with_other_verdicts"])],
        ["verdicts lost", number(h["verdicts_lost"])],
        ["verdicts counted twice", number(h["verdicts_twice"])],
        ["processes left behind", number(h["orphans"])],
    ]
    kinds = [
        [row["kind"], number(row["count"]), f"{row['recover_median_s']:.0f}", f"{row['recover_max_s']:.0f}"]
        for row in result["repeats"]
    ]
    memory = [
        [f"{row['process']} ({run})", f"{row['steps']:.0f}", f"{row['rss_mb']:.0f}"]
        + [f"{row[f'{which}_growth_mb_per_100_steps']:+.1f}" for which in ("rss", "own")]
        for run, name in (("undisturbed", "calm"), ("under faults", "chaos"))
        for row in _fastest(config["seen"][name]["memory"])
    ]
    columns = ["process", "steps that it saw", "resident MB", "growth, MB in 100 steps", "of memory that is its own"]
    minutes = {name: seen["minutes_since_resumed"] for name, seen in config["seen"].items()}
    return "\n\n".join(
        [
            markdown(["compared with the undisturbed run", "value"], rows),
            markdown(["fault", "times", "median seconds until the next step", "most"], kinds),
            markdown(columns, memory),
            f"{minutes['calm']:.1f} minutes undisturbed, {minutes['chaos']:.1f} under faults."
            f"{_shared(result)} {provenance(result)}",
        ]
    )


def _shared(result: dict[str, Any]) -> str:
    """A sentence about a machine that did other work at the same time; empty for an idle one."""
    machine = result["config"]["machine"]
    return "" if machine == "idle" else f" The machine was not idle ({machine}): compare within a table only."


def _fastest(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the processes with one name, the one that grew fastest; Ray's own agents are left out."""
    found: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: -row["rss_growth_mb_per_100_steps"]):
        if row["process"] not in (*AGENTS, "other"):
            found.setdefault(row["process"], row)
    return [found[name] for name in sorted(found)]
