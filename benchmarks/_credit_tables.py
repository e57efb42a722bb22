"""The tables of docs/results.md about line credit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks._markdown import markdown, number, percent, provenance
from benchmarks.comparable_lines import COMPARED, PLACES
from benchmarks.known_errors import KINDS as KINDS_OF_PLACE
from benchmarks.locator_errors import KINDS
from prl_ray.experiment.page import at_difficulty, by_machine


def evidence(*results: tuple[str, dict[str, Any]]) -> str:
    """Each arm's pass@1, its difference to the outcome, and what it cost."""
    ((_, result),) = results
    parts = []
    for found in result["repeats"]:
        rows = [_arm(name, arm, found["baseline"]) for name, arm in found["arms"].items() if arm["seeds"]]
        columns = [
            f"{found['experiment']}: sampled pass@1, percent (95% interval)",
            "seeds",
            "pass@1",
            "over the start",
            "over the baseline",
            "p (Holm)",
            "tokens sampled, verifier runs, seconds over the baseline's",
        ]
        parts += [
            markdown(columns, rows),
            *_against(found),
            *_difficulties(found),
            "Expected, before the runs:",
            "\n".join(f"- {text}" for text in found["hypotheses"]),
        ]
        if found["missing"]:
            parts.append(f"{len(found['missing'])} runs of {found['experiment']} have not been made yet.")
        parts.append(f"Runs of {found['experiment']}: {by_machine(found['machines'])}.")
    return "\n\n".join([*parts, f"Summarised on: {provenance(result)}"])


def _against(found: Mapping[str, Any]) -> list[str]:
    """The arms that are compared with another one than the baseline."""
    rows = []
    for name, arm in found["arms"].items():
        if "against" in arm:
            over, ratios = arm["against"]["over"]["sampled"], arm["against"]["costs"]
            costs = _ratios(ratios, "sampled_tokens", "wall_s")
            rows.append([name, arm["against"]["arm"], _points(over), f"{over['holm_p']:.2g}", costs])
    first = f"{found['experiment']}: arms against each other"
    columns = [first, "against", "sampled pass@1, points", "p (Holm)", "tokens sampled, seconds over the other's"]
    return [markdown(columns, rows)] if rows else []


def _difficulties(found: Mapping[str, Any]) -> list[str]:
    """The arms' pass@1 by difficulty, if it is known."""
    made = {name: arm["by_difficulty"] for name, arm in found["arms"].items() if arm["seeds"]}
    kinds = sorted({kind for own in made.values() for kind in own}, key=int)
    rows = [[name, *(at_difficulty(own[kind]) if kind in own else "" for kind in kinds)] for name, own in made.items()]
    first = f"{found['experiment']}: sampled pass@1 by steps of the program (over the baseline, ± standard error)"
    return [markdown([first, *kinds], rows)] if kinds else []


def _arm(name: str, arm: Mapping[str, Any], baseline: str) -> list[str]:
    over = arm.get("over_baseline", {}).get("sampled")
    ratios = arm.get("costs_over_baseline", {})
    return [
        f"{name}: {arm['says']}",
        str(len(arm["seeds"])),
        percent(arm["pass1_sampled"]),
        _points(arm.get("over_start", {}).get("sampled")),
        _points(over) or ("baseline" if name == baseline else ""),
        f"{over['holm_p']:.2g}" if over else "",
        _ratios(ratios, "sampled_tokens", "verifier_runs", "wall_s"),
    ]


def _ratios(found: Mapping[str, float], *keys: str) -> str:
    """The ratios of these costs, with a dash for seconds of different machines; empty without any."""
    return ", ".join(f"{found[key]:.2f}" if key in found else "–" for key in keys) if found else ""


def _points(found: Mapping[str, float] | None) -> str:
    if not found:
        return ""
    return f"{100 * found['value']:+.1f} ({100 * found['low']:+.1f} to {100 * found['high']:+.1f})"


def critic(*results: tuple[str, dict[str, Any]]) -> str:
    """The share of its returns' variance that each form of critic explains."""
    ((_, result),) = results
    rows = [
        [
            row["says"],
            str(len(row["by_seed"])),
            f"{row['mean']:.2f}",
            f"{row['of_prompt']:.2f}" if "of_prompt" in row else "",
            percent(row["learnt"]) if "learnt" in row else "",
        ]
        for row in result["repeats"]
    ]
    columns = [
        "share of the returns' variance, second half of the steps",
        "seeds",
        "explained by the critic",
        "by the prompt's other samples",
        "samples learnt from, percent",
    ]
    return "\n\n".join([markdown(columns, rows), provenance(result)])


def known_errors(*results: tuple[str, dict[str, Any]]) -> str:
    """Where line verdicts are, compared with the line that is known to be wrong."""
    ((_, result),) = results
    rows = []
    for found in result["repeats"]:
        shares = [percent(found[kind] / found["programs"]) for kind in KINDS_OF_PLACE]
        rows.append([found["problems"], f"{found['programs']:,}", *shares])
    columns = [
        "programs with one mutated line",
        "programs",
        "verdict before it, percent",
        "at it",
        "behind it",
        "unknown",
    ]
    return "\n\n".join([markdown(columns, rows), provenance(result)])


def line_verdicts(*results: tuple[str, dict[str, Any]]) -> str:
    """How many failures are located, how, whether the ways agree, and what it costs."""
    ((_, result),) = results
    rows = []
    for found in result["repeats"]:
        ways = ", ".join(f"{name} {count}" for name, count in found["found_by"].items())
        agree = [
            f"{pair.replace('_', ' and ')} {percent(share)} of {found['compared'][pair]}"
            for pair, share in found["agreement"].items()
        ]
        rows.append(
            [
                found["problems"],
                number(found["failures"]),
                percent(found["located"]),
                ways,
                "; ".join(agree),
                f"{number(found['programs_per_second'])} ({number(found['runs_per_failure'])} runs each)",
            ]
        )
    columns = ["problems", "failures", "located, percent", "by", "agree, percent", "located per second"]
    share = result["headline"].get("share_of_step")
    text = f"Line verdicts took {percent(share)}% of a PPO step that used them." if share is not None else ""
    return "\n\n".join(part for part in (markdown(columns, rows), text, provenance(result)) if part)


def comparable_lines(*results: tuple[str, dict[str, Any]]) -> str:
    """How many lines of a group can be compared at each kind of place."""
    ((_, result),) = results
    rows = [
        [found["problems"], PLACES[place], *(percent(found[place][f]) if f in found[place] else "" for f in COMPARED)]
        for found in result["repeats"]
        for place in PLACES
    ]
    columns = ["problems", "lines at the same place have", "compared, percent", "decided", "pairs at equal values"]
    counts = ", ".join(
        f"{found['problems']} {number(found['samples'])} ({number(found['lines'])} lines)"
        for found in result["repeats"]
    )
    return "\n\n".join([markdown(columns, rows), f"Samples: {counts}.", provenance(result)])


def locator_errors(*results: tuple[str, dict[str, Any]]) -> str:
    """The lines that each arm's locator names, against execution."""
    ((_, result),) = results
    h, failures = result["headline"], result["config"]["failures"]
    rows = [[arm, *(percent(h[f"{kind}_{arm}"]) for kind in KINDS), number(count)] for arm, count in failures.items()]
    columns = ["located line, percent of the failures", "the first wrong one", "a right one", "a later one", "none"]
    return f"{markdown([*columns, 'failures'], rows)}\n\n{provenance(result)}"
