"""The tables of docs/results.md about the sandbox, and the picture that goes with them."""

from __future__ import annotations

import functools
import statistics
from typing import Any

from benchmarks._layers import bars, layers
from benchmarks._markdown import markdown, number, provenance

KINDS = {
    "A": "main guard",
    "B": "preludes",
    "C": "process-wide state",
    "D": "files that tests and program share",
    "E": "values that are not plain data",
    "F": "exceptions",
    "G": "suites that check nothing",
    "H": "comparison of output",
    "I": "buffered output at the end",
    "J": "limits",
    "K": "memory",
    "L": "scripts as `python program.py` runs them",
    "M": "C++",
    "N": "packages of an environment",
    "O": "time of the transport",
    "P": "ways to exit",
    "Q": "forging through tests",
}
"""The kinds of honest programs, by the letters that the cases have."""


def verifier_throughput(*results: tuple[str, dict[str, Any]]) -> str:
    """Ours compared with peers and the machine's own limit; then the cost of each layer, as a table and a plot."""
    ((_, result),) = results
    repeats, h = result["repeats"], result["headline"]

    def median(*keys: str) -> float:
        return statistics.median(functools.reduce(lambda found, key: found[key], keys, repeat) for repeat in repeats)

    rows = [["sandbox_workers", number(h["per_second"]), ""]]
    for peer in sorted(repeats[0]["peers"]):
        ratio = median(f"ratio_{peer.replace('-', '_')}")
        rows.append([peer, number(median("peers", peer, "per_second")), f"{ratio:.1f} ×"])
    rows.append(["fork, exit and wait alone", number(median("raw_per_second")), f"{h['share_of_raw_fork']:.2f} ×"])
    costs = [[name, f"{value:.0f}"] for name, value in layers(repeats).items()]
    times = f"Half of the verdicts take {h['p50_ms']:.2f} ms, 99 of 100 {h['p99_ms']:.2f} ms"
    times += f" ({h['raw_p99_ms']:.2f} ms: the fork alone)" if "raw_p99_ms" in h else ""
    times += ". Two workers do "
    times += f"{h['scaling_2_workers']:.2f} times what one does."
    if "cpu_ms_per_program" in h:
        times += f" A program takes {h['cpu_ms_per_program']:.2f} ms of CPU, of all processes together;"
        times += f" two workers run {number(h['per_second_2_cores'])} a second"
        times += f", and a server of two {number(h['http_per_second'])} requests."
    if h.get("soak_programs"):
        grown = ", ".join(f"{number(h[f'soak_growth_{key}'])} {key}" for key in ("processes", "mounts", "descriptors"))
        times += f" {number(h['soak_programs'])} programs later: {h['soak_growth_mb']:.1f} MB, {grown} more."
    return "\n\n".join(
        [
            markdown(["one worker", "programs a second", "ours is"], rows),
            times,
            markdown(["layer", "microseconds"], costs),
            "![What each layer costs](images/verifier_layers.svg)",
            provenance(result),
        ]
    )


def verifier_agreement(*results: tuple[str, dict[str, Any]]) -> str:
    """How often the sandbox agrees with a plain run."""
    ((_, result),) = results
    h = result["headline"]
    rows = [
        [
            "references of MBPP and HumanEval that pass",
            f"{number(h['references_passed'])} of {number(h['references'])}",
        ],
        ["odd but honest programs that pass", f"{h['honest_programs'] - h['false_rejects']} of {h['honest_programs']}"],
        ["mutants judged as by a plain run", f"{number(h['mutants'] - h['disagreements'])} of {number(h['mutants'])}"],
    ]
    return markdown(["", "programs"], rows) + f"\n\n{provenance(result)}"


def verifier_honest(*results: tuple[str, dict[str, Any]]) -> str:
    """Programs judged rightly of how many, by kind and source, and how many ran in one process with their tests."""
    ((_, result),) = results
    by_source: dict[str, dict[str, Any]] = {r["source"]: r["kinds"] for r in result["repeats"]}
    own, handed = by_source.get("own", {}), by_source.get("handed", {})
    rows = [[KINDS.get(kind, kind), *_of(own.get(kind)), *_of(handed.get(kind))] for kind in sorted({*own, *handed})]
    total = f"{number(result['headline']['right'])} of {number(result['headline']['cases'])} are judged rightly."
    columns = ["kind", "own programs", "of these shared", "cases after reports", "of these shared"]
    return markdown(columns, rows) + f"\n\n{total} {provenance(result)}"


def _of(kind: dict[str, int] | None) -> tuple[str, str]:
    return (f"{kind['right']}/{kind['programs']}", number(kind["shared"])) if kind else ("", "")


def verifier_attacks(*results: tuple[str, dict[str, Any]]) -> str:
    """Attacks held of how many, by category and verifier."""
    ((_, result),) = results
    held, h = result["repeats"][0]["held"], result["headline"]
    verifiers, categories = list(held), list(held["sandbox_workers"])
    rows = [[category, *(held[name].get(category, "not run") for name in verifiers)] for category in categories]
    mixed = f"{number(h['mixed'])} attacks queued among as many honest programs changed "
    mixed += f"{number(h['honest_verdicts_changed'])} of their verdicts."
    return markdown(["attacks held", *verifiers], rows) + f"\n\n{mixed} {provenance(result)}"


def layers_picture(result: dict[str, Any]) -> str:
    """SVG text: what each layer of isolation costs a program."""
    return bars("What each layer of isolation costs a program", layers(result["repeats"]), "microseconds")
