"""Prints a score for each line of Python programs: the probability that it is right if all lines before it are. Needs a
process reward model of the stage `prm`, and no Ray. Code with syntax errors is scored too. Exit codes: 0 done, 2 wrong
usage, no model, or an unreadable file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from prl_ray.errors import ConfigError, DataError, ModelError, PrlRayError
from prl_ray.problems.problem import Extract

EXAMPLE = 'python -m prl_ray.score prog.py --problem "Write f(x), which doubles x."'


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except (PrlRayError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def newest_prm(runs: Path) -> Path:
    """``runs/NAME/prm`` of the most recently changed run folder. Raises ``ModelError`` if no run has one."""
    found = [link for link in runs.glob("*/prm") if (link / "config.json").is_file()]
    if not found:
        raise ModelError(
            f"no run in {runs}/ has a process reward model: give its folder with --prm FOLDER, or train one with "
            "python -m prl_ray.train stages=[label,sft,prm]"
        )
    return max(found, key=lambda link: link.parent.stat().st_mtime)


def read_text(file: Path) -> str:
    """The text of a UTF-8 file. Raises ``DataError`` if it is not UTF-8, ``OSError`` if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text: {error}") from error


def _run(options: argparse.Namespace) -> None:
    prompt = read_text(options.problem_file) if options.problem_file else options.problem
    if not prompt.strip():
        raise ConfigError("the problem is empty; the model needs it to score the lines")
    prm = options.prm or newest_prm(options.runs)
    # imported late: torch and transformers take seconds
    from prl_ray.models.quiet import set_library_environment
    from prl_ray.score.page import page
    from prl_ray.score.program import score_files
    from prl_ray.score.views import as_json, terminal_lines
    from prl_ray.tracking.console import Console

    set_library_environment()

    programs = score_files(
        options.files,
        prompt,
        prm=prm,
        orm=options.orm,
        given_lines=options.given_lines,
        theta=options.theta,
        extract=options.extract,
    )
    if options.html:
        options.html.write_text(page(programs, prompt), encoding="utf-8")
    if options.json:
        for program in programs:
            print(json.dumps(as_json(program)))
        return
    console = Console()
    for program in programs:
        for line in terminal_lines(program):
            console.text(line)
    console.note(f"model: {prm}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m prl_ray.score", description=__doc__, epilog=f"example: {EXAMPLE}", allow_abbrev=False
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a Python program")
    problem = parser.add_mutually_exclusive_group(required=True)
    problem.add_argument(
        "--problem",
        default="",
        metavar="TEXT",
        help="the problem that the programs solve, in the wording of the training prompts",
    )
    problem.add_argument("--problem-file", type=Path, metavar="FILE", help="the same, from a text file")
    parser.add_argument(
        "--prm", type=Path, metavar="FOLDER", help="folder of a process reward model; default: that of the newest run"
    )
    parser.add_argument(
        "--orm", type=Path, metavar="FOLDER", help="folder of an outcome reward model, which also scores whole programs"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="FOLDER", help="folder of the runs; default: runs"
    )
    parser.add_argument(
        "--given-lines",
        type=_count,
        default=0,
        metavar="N",
        help="the first N lines of each file belong to the problem (a signature) and are not scored",
    )
    parser.add_argument(
        "--theta", type=_probability, default=0.5, help="lines with a lower score count as wrong; default: 0.5"
    )
    parser.add_argument(
        "--extract",
        choices=get_args(Extract),
        default="auto",
        help="score the code fence of an answer (fence), the whole file (none), or the fence if the model has a "
        "chat template (auto, the default)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per file")
    parser.add_argument("--html", type=Path, metavar="OUT.html", help="also write an HTML page with all programs")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of lines")
    return int(text)


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
