"""The tables of README.md and docs/, made of the result files: ``python benchmarks/readme_tables.py [--check]``.

A table stands between ``<!-- table:NAME -->`` and ``<!-- /table -->``. What NAME shows is a function in ``TABLES``; any
other NAME (or several: ``a,b``) shows the headlines of ``benchmarks/results/NAME.json``. ``NAME/FORM`` is another form
of the table of NAME. The command also draws the pictures of ``PICTURES`` into ``docs/images``. ``--check`` changes
nothing and exits with 1 if a page or a picture is not current.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._cluster_tables import chaos, cluster, scale_simulation
from benchmarks._credit_tables import (
    comparable_lines,
    critic,
    evidence,
    known_errors,
    line_verdicts,
    locator_errors,
)
from benchmarks._markdown import estimate, markdown, number, percent, provenance
from benchmarks._model_tables import code_model, parallel, plan, plan_paper
from benchmarks._results import RESULTS, ROOT, read_result
from benchmarks._reward_model_tables import best_of_n, prm_quality, prm_rollouts
from benchmarks._verifier_tables import (
    layers_picture,
    verifier_agreement,
    verifier_attacks,
    verifier_honest,
    verifier_throughput,
)

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
IMAGES = ROOT / "docs" / "images"
MARK = re.compile(r"(<!-- table:(?P<name>[\w,/-]+) -->\n)(?P<table>.*?)(<!-- /table -->)", re.DOTALL)
OPEN = re.compile(r"<!-- table:[^>]*-->")


class TableError(ValueError):
    """A marker in a page that cannot be filled."""


def render(text: str, folder: Path = RESULTS) -> str:
    """``text`` with every marked table made anew from the result files in ``folder``.

    Raises:
        TableError: a marker without an end, or one whose result file is missing; names it.
    """

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}\n{table(match['name'], folder)}\n\n{match[4]}"

    whole = [m.group(1).strip() for m in MARK.finditer(text)]
    broken = [mark for mark in OPEN.findall(text) if mark not in whole]
    nested = [m["name"] for m in MARK.finditer(text) if OPEN.search(m["table"])]
    if broken or nested:
        raise TableError(f"marker without <!-- /table -->: {', '.join(nested or broken)}")
    return MARK.sub(fill, text)


def table(name: str, folder: Path) -> str:
    """The Markdown of one table."""
    results = {}
    for part in name.partition("/")[0].split(","):
        try:
            results[part] = read_result(part, folder)
        except FileNotFoundError as error:
            raise TableError(f"table:{name} needs {folder / part}.json, which no benchmark has written") from error
    return TABLES.get(name, headlines)(*results.items())


def headlines(*results: tuple[str, dict[str, Any]]) -> str:
    """One row per headline figure, with the machine and the date of each result below."""
    rows = [[name, key, number(value)] for name, result in results for key, value in result["headline"].items()]
    machines = dict.fromkeys(provenance(result) for _, result in results)
    return markdown(["result", "figure", "value"], rows) + "\n\n" + "  \n".join(machines)


def main_job(*results: tuple[str, dict[str, Any]]) -> str:
    """Held-out pass@1 before and after each stage, what PPO gained, and both by difficulty."""
    ((_, result),) = results
    first, *others = result["repeats"]
    runs = {f"PPO, {_default(result)}": first} | {f"PPO, {' '.join(other['overrides'])}": other for other in others}
    policies = {"before SFT": first["policies"]["base"], "SFT": first["policies"]["sft"]}
    policies |= {name: run["policies"]["ppo"] for name, run in runs.items()}
    rows = [[name, *(_pass_at_1(p[mode]) for mode in ("sampled", "greedy"))] for name, p in policies.items()]
    rows += [
        [f"{name}: gain over SFT, paired", *(_points(run["gain"]["ppo-sft"][mode]) for mode in ("sampled", "greedy"))]
        for name, run in runs.items()
    ]
    levels = list(policies["SFT"]["by_difficulty"])
    harder = [[level, *(_pass_at_1(p["by_difficulty"][level]) for p in policies.values())] for level in levels]
    minutes = f"{result['headline']['minutes']:.1f} minutes ({result['config']['minutes_of']})"
    return "\n\n".join(
        [
            markdown(["pass@1, percent ± standard error", "sampled", "greedy"], rows),
            markdown(["steps of the problem (sampled)", *policies], harder),
            f"{first['n_problems']} held-out problems; {minutes}. {provenance(result)}",
        ]
    )


def _default(result: dict[str, Any]) -> str:
    """What the default of the command was when it was measured."""
    return str(result["config"].get("default", "line rewards"))


def main_job_short(*results: tuple[str, dict[str, Any]]) -> str:
    """Sampled pass@1 of each policy, and the gain of the first run: README's one result."""
    ((_, result),) = results
    first = result["repeats"][0]
    names = {"base": "before SFT", "sft": "SFT", "ppo": f"PPO, {_default(result)}"}
    rows = [[text, _pass_at_1(first["policies"][policy]["sampled"])] for policy, text in names.items()]
    rows.append(["gain of PPO over SFT, paired", _points(first["gain"]["ppo-sft"]["sampled"])])
    return "\n\n".join(
        [
            markdown([f"sampled pass@1 on {first['n_problems']} held-out problems", "percent ± standard error"], rows),
            f"{result['headline']['minutes']:.1f} minutes. {provenance(result)}",
        ]
    )


def mbpp(*results: tuple[str, dict[str, Any]]) -> str:
    """Sampled pass@k and greedy pass@1 of each policy, and what PPO gained."""
    ((_, result),) = results
    run = result["repeats"][0]
    names = {"base": "before SFT", "sft": "SFT", "ppo": f"PPO, {_default(result)}"}
    ks = [key.removeprefix("pass@") for key in run["policies"]["sft"]["sampled"] if key.startswith("pass@")]
    rows = []
    for policy, name in names.items():
        sampled, greedy = run["policies"][policy]["sampled"], run["policies"][policy]["greedy"]
        rows.append([name, *(estimate(sampled[f"pass@{k}"], sampled[f"se@{k}"]) for k in ks), _pass_at_1(greedy)])
    gain = run["gain"]["ppo-sft"]
    rows.append(["gain over SFT, paired", _points(gain["sampled"]), *[""] * (len(ks) - 1), _points(gain["greedy"])])
    columns = ["MBPP test, percent ± standard error", *(f"pass@{k}" for k in ks), "greedy pass@1"]
    return (
        f"{markdown(columns, rows)}\n\n{run['n_problems']} problems; {run['minutes']:.0f} minutes. {provenance(result)}"
    )


def step_anatomy(*results: tuple[str, dict[str, Any]]) -> str:
    """Seconds of each phase of a step, for both models, and TRL's whole step compared with ours."""
    ((_, result),) = results
    h, phases = result["headline"], result["config"]["phases"]
    models = list(phases)
    names = dict.fromkeys(name for model in models for name in phases[model])
    rows = [[name, *(f"{phases[model].get(name, 0.0):.2f}" for model in models)] for name in names]
    shares = ", ".join(f"{percent(h[f'overhead_share_{model}'])}% of a step of {model}" for model in models)
    text = (
        f"All but the models' work is {shares}. A whole step of TRL takes {h['trl_ratio']:.2f} times as long as ours."
    )
    return "\n\n".join([markdown(["seconds of a step", *models], rows), text, provenance(result)])


def house(*results: tuple[str, dict[str, Any]]) -> str:
    """Counts of the source code before and after."""
    ((_, result),) = results
    (counted,) = result["repeats"]
    names = dict.fromkeys([*counted["before"], *counted["after"]])
    rows = [
        [name, *(number(counted[when][name]) if name in counted[when] else "" for when in ("before", "after"))]
        for name in names
    ]
    columns = ["count", f"before (commit {result['config']['before'][:8]})", "after"]
    return markdown(columns, rows) + f"\n\n{provenance(result)}"


def right_results(*results: tuple[str, dict[str, Any]]) -> str:
    """What each kind of fault promises, and the main job before and after these faults were mended."""
    ((_, result),) = results
    rows = [
        [row["promise"], f"{row['tests'] - row['failed'] - row['skipped']}/{row['tests']}"] for row in result["repeats"]
    ]
    parts = [markdown(["promise", "tests that pass"], rows)]
    if job := result["config"].get("main_job"):
        names = {"base": "before SFT", "sft": "SFT", "ppo": "PPO, line rewards"}
        whens = [job["before"], job["after"]]
        figures = [
            [text, *(percent(when["pass1_sampled"][policy]) for when in whens)] for policy, text in names.items()
        ]
        figures.append(["gain of PPO over SFT, paired", *(estimate(w["gain"], w["gain_se"], "+") for w in whens)])
        columns = ["sampled pass@1, percent", f"before (commit {job['before']['commit'][:8]})", "after"]
        parts.append(markdown(columns, figures))
    return "\n\n".join([*parts, provenance(result)])


def _pass_at_1(figures: dict[str, float]) -> str:
    return estimate(figures["pass@1"], figures["se"])


def _points(gain: dict[str, float]) -> str:
    return estimate(gain["gain"], gain["se"], "+")


TABLES: dict[str, Callable[..., str]] = {
    "main_job": main_job,
    "main_job/short": main_job_short,
    "main_job_line_rewards": main_job,
    "main_job_single_gpu": main_job,
    "mbpp": mbpp,
    "code_model": code_model,
    "step_anatomy": step_anatomy,
    "house": house,
    "prm_quality": prm_quality,
    "prm_rollouts": prm_rollouts,
    "prm_rollouts_head": prm_rollouts,
    "best_of_n": best_of_n,
    "best_of_n_composed": best_of_n,
    "evidence": evidence,
    "evidence_mbpp": evidence,
    "critic": critic,
    "line_verdicts": line_verdicts,
    "known_errors": known_errors,
    "locator_errors": locator_errors,
    "locator_errors_composed_credit": locator_errors,
    "comparable_lines": comparable_lines,
    "verifier_throughput": verifier_throughput,
    "verifier_agreement": verifier_agreement,
    "verifier_honest": verifier_honest,
    "verifier_attacks": verifier_attacks,
    "right_results": right_results,
    "scale_simulation": scale_simulation,
    "cluster": cluster,
    "chaos": chaos,
    "parallel": parallel,
    "plan": plan,
    "plan/paper": plan_paper,
}
"""Tables with their own form; each function gets ``(name, result)`` pairs in the marker's order."""

PICTURES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "verifier_layers.svg": ("verifier_throughput", layers_picture),
}
"""File name -> the result that it shows, and the function that draws it."""


def outputs(pages: Sequence[Path], images: Path, results: Path) -> Iterator[tuple[Path, str]]:
    """Every file that this command writes, with its current text.

    Raises:
        TableError: a marker that cannot be filled.
    """
    for page in pages:
        yield page, render(page.read_text(encoding="utf-8"), results)
    for name, (result, draw) in PICTURES.items():
        if (results / f"{result}.json").exists():
            yield images / name, draw(read_result(result, results))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a page is not current")
    parser.add_argument("--pages", type=Path, nargs="+", default=PAGES)
    parser.add_argument("--images", type=Path, default=IMAGES)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    try:
        files = list(outputs(options.pages, options.images, options.results))
    except (TableError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    stale = {path: text for path, text in files if not path.exists() or path.read_text(encoding="utf-8") != text}
    if options.check and stale:
        for path, text in stale.items():
            old = path.read_text(encoding="utf-8") if path.exists() else ""
            print("\n".join(difflib.unified_diff(old.splitlines(), text.splitlines(), path.name, "new", lineterm="")))
        names = ", ".join(path.name for path in stale)
        print(f"error: not current: {names}; run: python benchmarks/readme_tables.py", file=sys.stderr)
        return 1
    for path, text in stale.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
