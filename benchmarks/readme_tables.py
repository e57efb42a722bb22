"""The tables of README.md, made of the result files: ``python benchmarks/readme_tables.py [--check]``.

A table stands between ``<!-- table:NAME -->`` and ``<!-- /table -->``. What NAME shows is a function in ``TABLES``; any
other NAME (or several: ``a,b``) shows the headlines of ``benchmarks/results/NAME.json``. ``--check`` changes nothing
and exits with 1 where README is not current.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import RESULTS, ROOT, read_result

MARK = re.compile(r"(<!-- table:(?P<name>[\w,-]+) -->\n)(?P<table>.*?)(<!-- /table -->)", re.DOTALL)
OPEN = re.compile(r"<!-- table:[^>]*-->")


class TableError(ValueError):
    """A marker in README that cannot be filled."""


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
    for part in name.split(","):
        try:
            results[part] = read_result(part, folder)
        except FileNotFoundError as error:
            raise TableError(f"table:{name} needs {folder / part}.json, which no benchmark has written") from error
    return TABLES.get(name, headlines)(*results.items())


def headlines(*results: tuple[str, dict[str, Any]]) -> str:
    """One row a headline figure, with the machine and the date of each result below."""
    rows = [[name, key, number(value)] for name, result in results for key, value in result["headline"].items()]
    machines = dict.fromkeys(provenance(result) for _, result in results)
    return markdown(["result", "figure", "value"], rows) + "\n\n" + "  \n".join(machines)


def main_job(*results: tuple[str, dict[str, Any]]) -> str:
    """Held-out pass@1 before and after each stage."""
    ((_, result),) = results
    h = result["headline"]
    rows = [
        ["before SFT", percent(h["pass1_base"])],
        ["after SFT", percent(h["pass1_sft"])],
        ["after PPO with line rewards", percent(h["pass1_ppo"])],
        ["PPO over SFT", f"{100 * h['gain']:+.1f} ± {100 * h['gain_se']:.1f}"],
    ]
    minutes = f"{h['minutes']:.1f} minutes for the whole recipe"
    return markdown(["held-out pass@1, sampled", "percent"], rows) + f"\n\n{minutes}. {provenance(result)}"


TABLES: dict[str, Callable[..., str]] = {"main_job": main_job}
"""Tables with a form of their own; each function gets ``(name, result)`` pairs in the marker's order."""


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the last column is right-aligned."""
    lines = [list(columns), [*["---"] * (len(columns) - 1), "---:"], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def number(value: float) -> str:
    """Whole numbers as they are, others with three significant digits."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def percent(value: float) -> str:
    """A share as percent with one digit."""
    return f"{100 * value:.1f}"


def provenance(result: dict[str, Any]) -> str:
    """Where and when a result was measured, in one line."""
    e = result["environment"]
    flags = f" ({', '.join(e['flags'])})" if e.get("flags") else ""
    gpus = f", {', '.join(e['gpus'])}" if e.get("gpus") else ""
    commit = f", commit {e['commit'][:8]}" if e.get("commit") else ""
    return f"{e['cores']} cores, {e['processor']}{flags}{gpus}; {e['date'][:10]}{commit}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 where README is not current")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    try:
        old = options.readme.read_text(encoding="utf-8")
        new = render(old, options.results)
    except (TableError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if new == old:
        return 0
    if options.check:
        changes = difflib.unified_diff(old.splitlines(), new.splitlines(), "README.md", "from the results", lineterm="")
        print("\n".join(changes))
        print("error: README.md is not current; run: python benchmarks/readme_tables.py", file=sys.stderr)
        return 1
    options.readme.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
