"""Which lines of a prompt's samples can be compared? Three meanings of "the same place", on a policy's samples.

Reads sampled programs of run folders that were evaluated (``samples_POLICY_sampled.jsonl``); the samples of a problem
are a group. Line verdicts by execution say where each program goes wrong, and the line groups of
``prl_ray.ppo.line_credit`` compare the lines up to there with those of the other samples at the same place:

- ``line``   lines with as many counted lines before them (``places=line``, the default)
- ``state``  lines with equal values of all variables before them (``places=state``)
- ``text``   lines with the same text before them

The figures of each, over the lines behind the problem's own and the ``def``: ``compared``, the share that some other
sample of the group reaches; ``decided``, the share at which the samples differ, in right and first wrong lines;
``same_values``, of the compared pairs of lines behind the first ones, if the values before them are known, the share in
which these are equal: pairs that ask the same question. The headline has them by problem set, as ``FIGURE_PLACE_SET``.

  python benchmarks/comparable_lines.py --composed runs/A --mbpp runs/B
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks._results import RESULTS, write_result
from benchmarks._runs import evaluated_samples
from prl_ray.actors.verifier import COMPLETION_S
from prl_ray.credit.columns import FOUND_BY, LineVerdicts
from prl_ray.credit.references import first_of_body
from prl_ray.credit.verdicts import LineJudge, LineVerdict
from prl_ray.lines import segment
from prl_ray.ppo.line_credit import UNKNOWN, Bools, Ints, LineCredit, compare
from prl_ray.problems import Problem
from sandbox_workers import Limits, Sandbox, Status

SETS = ("composed", "mbpp")
PLACES = {"line": "equal numbers", "state": "equal values before", "text": "equal text before"}
COMPARED = ("compared", "decided", "same_values")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in SETS:
        parser.add_argument(f"--{name}", type=Path, metavar="RUN_FOLDER", help=f"evaluated run on {name}")
    parser.add_argument("--policy", default="", help="base, sft or ppo; by default the last that was evaluated")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    rows = [
        {"problems": name, "run": folder.name, **measure(evaluated_samples(folder, options.policy))}
        for name in SETS
        if (folder := getattr(options, name))
    ]
    if not rows:
        sys.exit("error: give at least one of --composed and --mbpp")
    headline = {
        f"{figure}_{place}_{row['problems']}": value
        for row in rows
        for place in PLACES
        for figure, value in row[place].items()
    }
    config = {"policy": options.policy or "the last one", "limits": f"{COMPLETION_S} s wall, 1 worker"}
    print(headline, write_result("comparable_lines", headline, config, rows, folder=options.results))


def measure(samples: Iterable[tuple[Problem, str, str]]) -> dict[str, Any]:
    """The figures of each kind of place, from samples of problems and their statuses."""
    programs, verdicts, first, prompts = [], [], [], []
    with Sandbox(limits=Limits(wall_s=COMPLETION_S)) as sandbox:
        judge = LineJudge(partial(sandbox.run, stop_at_first_failure=True), sandbox.call)
        for problem, program, status in samples:
            programs.append(program)
            verdicts.append(judge.verdict(problem, program, status == Status.PASSED))
            first.append(first_of_body(problem, program))
            prompts.append(problem.task_id)
    lines = line_credit(programs, verdicts, first)
    _, ids = np.unique(prompts, return_inverse=True)
    places = {"line": lines, "state": lines.at_equal_state(), "text": replace(lines, places=texts_before(programs))}
    failed = ~lines.ok
    return {
        "samples": len(programs),
        "failures": int(failed.sum()),
        "located": float((lines.wrong[failed] != UNKNOWN).mean()) if failed.any() else 0.0,
        "lines": int(lines.reached.sum()),
        **{name: figures(placed, ids) for name, placed in places.items()},
    }


def line_credit(programs: Sequence[str], verdicts: Sequence[LineVerdict], first: Sequence[int]) -> LineCredit:
    """The samples' lines and where they go wrong; the first ``first`` lines of each are not counted."""
    offsets = np.concatenate([[0], np.cumsum([len(segment(program)) for program in programs])])
    columns = LineVerdicts(
        wrong=np.array([v.wrong for v in verdicts]),
        found_by=np.array([FOUND_BY.index(v.found_by) for v in verdicts]),
        runs=np.array([v.runs for v in verdicts]),
        states=np.concatenate([np.array(v.states, dtype=np.int64) for v in verdicts]),
    )
    own = [
        not line.neutral and index >= start
        for program, start in zip(programs, first, strict=True)
        for index, line in enumerate(segment(program))
    ]
    ok = np.array([v.found_by == "passed" for v in verdicts])
    ends = np.arange(offsets[-1])  # no tokens here: a line counts as one
    counted = np.array(own) & ~columns.idle(offsets)
    return LineCredit(offsets, ends, counted, columns.wrong, ok, states=columns.states)


def texts_before(programs: Sequence[str]) -> Ints:
    """int64 ``[lines]``: equal numbers mean equal statement lines before the line."""
    numbers: dict[tuple[str, ...], int] = {}
    found = []
    for program in programs:
        before: tuple[str, ...] = ()
        for line in segment(program):
            found.append(numbers.setdefault(before, len(numbers)))
            if not line.neutral:
                before += (program[line.start : line.end],)
    return np.array(found, dtype=np.int64)


def figures(lines: LineCredit, ids: Ints) -> dict[str, float]:
    """``compared``, ``decided`` and ``same_values`` of samples' lines; ``ids`` number the samples' problems."""
    valid = np.ones(len(lines.wrong), dtype=np.bool_)
    found = compare(lines, ids, valid)
    among = found.reached & ~found.by_depth & (found.others > 0)
    decided = among & (found.y != found.baseline)
    reached = max(int(found.reached.sum()), 1)
    same = _same_values(lines, ids, among & (lines.depth > 0))
    return {
        "compared": float(among.sum() / reached),
        "decided": float(decided.sum() / reached),
        **({"same_values": float(np.mean(same))} if same else {}),
    }


def _same_values(lines: LineCredit, ids: Ints, among: Bools) -> list[bool]:
    """Of each pair of lines at one place whose values before them are known, whether these are equal."""
    assert lines.states is not None
    place = lines.depth if lines.places is None else lines.places
    before = np.concatenate([[UNKNOWN], lines.states[:-1]])
    groups: dict[tuple[int, int], list[int]] = {}
    for at in np.flatnonzero(among):
        if before[at] != UNKNOWN:
            groups.setdefault((int(ids[lines.sample[at]]), int(place[at])), []).append(int(before[at]))
    return [a == b for members in groups.values() for a, b in combinations(members, 2)]


if __name__ == "__main__":
    main()
