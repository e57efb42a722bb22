"""The tables of docs/results.md about reward models."""

from __future__ import annotations

from typing import Any

from benchmarks._markdown import estimate, interval, markdown, number, percent, provenance

SCORES = {
    "prm": "PRM",
    "orm": "ORM, read after each line",
    "policy_mean": "policy's log-probability, mean of the line",
    "policy_lowest": "policy's log-probability, lowest of the line",
    "position": "share of right lines at the position",
    "length": "share of right lines of the length",
    "majority": "share of right lines",
}


def prm_quality(*results: tuple[str, dict[str, Any]]) -> str:
    """AUROC of each score by problem set; then further figures of the PRM, and its learning curve."""
    ((_, result),) = results
    sets = {found["set"]: found for found in result["repeats"]}
    ranking = [
        [text, *(interval(found["scores"][name]["auroc"]) for found in sets.values())] for name, text in SCORES.items()
    ]
    more = [
        ["first wrong line of a failing program found", *(interval(found["first_error"]) for found in sets.values())],
        ["calibration error", *(interval(found["ece"]) for found in sets.values())],
        [
            "AUROC of references above their refactorings (0.5: not told apart)",
            *(interval(found["formatting"].get("auroc", [None])) for found in sets.values()),
        ],
        ["labelled lines read", *(number(found["labels"]) for found in sets.values())],
    ]
    curve = [
        [name, str(point["labelled_problems"]), interval(point["auroc"])]
        for name, found in sets.items()
        for point in found.get("learning_curve", [])
    ]
    return "\n\n".join(
        [
            markdown(["AUROC of right above wrong lines (95% of problems resampled)", *sets], ranking),
            markdown(["the PRM", *sets], more),
            markdown(["problem set", "labelled problems", "AUROC"], curve),
            provenance(result),
        ]
    )


def prm_rollouts(*results: tuple[str, dict[str, Any]]) -> str:
    """How often the first wrong line of the policy's own failing programs is found."""
    ((_, result),) = results
    (found,) = result["repeats"]
    names = {
        "before": "PRM of mutated references",
        "after": f"the same and labelled samples of {result['config']['rollouts']} training problems",
        "online": f"that one after {result['config'].get('steps', 0)} PPO steps with `prm.online`",
        "surprise": "the first line with a token to which the policy gave less than one half",
        "combined": "the newest PRM and the policy, by a rule fitted to training problems",
        "position": "the most frequent place",
    }
    keys = ("hit1", "hit1_half", "hit1_lowest", "auroc")
    rows = [
        [text, *(interval(found[name][key]) if key in found[name] else "" for key in keys)]
        for name, text in names.items()
        if name in found
    ]
    text = f"{number(found['failing'])} failing programs of the SFT policy on {result['config']['held_out']} test "
    text += f"problems; labelled samples over none, paired: {interval(found['after']['over_before'])}"
    text += f"; PPO steps over those: {interval(found['online']['over_after'])}." if "online" in found else "."
    sure = found.get("confident", {})
    if sure.get("share"):
        text += f" Of these errors the policy's first choice makes {percent(sure['share'])}% too; of those"
        text += f" the newest PRM finds {percent(sure['hit1'][0])}%, the surprise {percent(sure['hit1_surprise'][0])}%."
    columns = [
        "first wrong line found (95% of problems resampled)",
        "own threshold",
        "below 0.5",
        "lowest",
        "AUROC of lines",
    ]
    return "\n\n".join([markdown(columns, rows), text, provenance(result)])


def best_of_n(*results: tuple[str, dict[str, Any]]) -> str:
    """pass@1 of each way to choose one of n samples, and its gain over a blind choice."""
    ((_, result),) = results
    tables = []
    for found in result["repeats"]:
        ways = [key for key in found if key in ("random", "orm", "oracle") or key.startswith("prm_")]
        rows = []
        for way in ways:
            figures = found[way]
            rows.append(
                [way, estimate(figures["pass@1"], figures["se"]), estimate(figures["gain"], figures["gain_se"], "+")]
            )
        about = f"{found['run']}: {found['problems']} {found['split']}, {found['policy']}, one of {found['n']}"
        tables.append(markdown([about, "pass@1, percent ± standard error", "over a blind choice, paired"], rows))
        if when := found.get("measured"):
            tables.append(f"{found['run']}: {when['date'][:10]}, commit {when['commit'][:8]}.")
    return "\n\n".join([*tables, provenance(result)])
