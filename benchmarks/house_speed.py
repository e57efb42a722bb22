"""Whether a step and the verifier are as fast as at an older revision, the two taking turns.

    git worktree add ../before REVISION && make -C ../before install
    python benchmarks/house_speed.py ../before
    python benchmarks/house_speed.py ../before --runs 0 --name verifier_revisions    # the verifier alone

``step_ratio`` is the median PPO step of a tiny run now over the older revision's; ``verifier_cpu_ratio`` the CPU time
per program, that of all child processes included, and ``verifier_wall_ratio`` the time of one worker per program. A
figure is the median over the rounds; each round asks the older revision first and then this one, or the other way
round. Needs MBPP (data/mbpp.jsonl).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import ROOT, write_result
from benchmarks.verifier_workload import MBPP, SHARED_MBPP

SIDE = Path(__file__).with_name("_house_side.py")
OVERRIDES = ["+experiment=smoke", "tracking=off", "loop.validate_every=0", "name=speed"]
WARM_UP = 2
"""Steps that do not count."""


def main() -> None:
    """Measures and writes ``house_speed.json``, or the result file that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout of the older revision with its .venv")
    parser.add_argument("--rounds", type=int, default=3, help="of the verifier")
    parser.add_argument("--runs", type=int, default=2, help="training runs of each revision; 0 for the verifier alone")
    parser.add_argument("--programs", type=int, default=400)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--name", default="house_speed", help="of the result file")
    options = parser.parse_args()
    trees = {"before": options.before.resolve(), "after": ROOT}
    mbpp = next((path for path in (MBPP, SHARED_MBPP) if path.exists()), None)
    if mbpp is None:
        raise SystemExit(f"error: MBPP is not at {MBPP}: put mbpp.jsonl or a link to it there")
    repeats: list[dict[str, Any]] = []
    for number in range(options.rounds):
        repeats.append({"what": "verifier", **_turns(number, trees, lambda t: verifier(t, mbpp, options.programs))})
        print(json.dumps(repeats[-1]), flush=True)
    for number in range(options.runs):
        repeats.append({"what": "step", **_turns(number, trees, lambda t: step(t, options.steps))})
        print(json.dumps(repeats[-1]), flush=True)
    config = {**vars(options), "before": revision(trees["before"])}
    write_result(options.name, headline(repeats), config, repeats)


def _turns(number: int, trees: Mapping[str, Path], measure: Callable[[Path], dict[str, float]]) -> dict[str, object]:
    names = list(trees) if number % 2 == 0 else list(trees)[::-1]
    return {name: measure(trees[name]) for name in names}


def verifier(tree: Path, mbpp: Path, programs: int) -> dict[str, float]:
    """Milliseconds per program."""
    return json.loads(_run(tree, [str(SIDE), str(mbpp), str(programs)]).splitlines()[-1])


def step(tree: Path, steps: int) -> dict[str, float]:
    """Median seconds of a step."""
    with tempfile.TemporaryDirectory() as runs:
        _run(tree, ["-m", "prl_ray.train", *OVERRIDES, f"loop.steps={steps}", f"runs_dir={runs}"])
        records = [json.loads(line) for line in (Path(runs) / "speed" / "metrics.jsonl").read_text().splitlines()]
    seconds = [r["metrics"]["timing_s/step"] for r in records if "timing_s/step" in r["metrics"]]
    return {"step_s": statistics.median(seconds[WARM_UP:])}


def _run(tree: Path, arguments: list[str]) -> str:
    command = [str(tree / ".venv" / "bin" / "python"), *arguments]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: {tree}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def headline(repeats: list[dict[str, Any]]) -> dict[str, float]:
    """Medians over the rounds, and their ratios."""
    found: dict[str, float] = {}
    for name in ("before", "after"):
        judged = [r[name] for r in repeats if r["what"] == "verifier"]
        found[f"verifier_cpu_ms_{name}"] = statistics.median(r["own_ms"] + r["children_ms"] for r in judged)
        found[f"verifier_wall_ms_{name}"] = statistics.median(r["wall_ms"] for r in judged)
        if steps := [r[name]["step_s"] for r in repeats if r["what"] == "step"]:
            found[f"step_s_{name}"] = statistics.median(steps)
    for kind in ("cpu", "wall"):
        found[f"verifier_{kind}_ratio"] = found[f"verifier_{kind}_ms_after"] / found[f"verifier_{kind}_ms_before"]
    if "step_s_after" in found:
        found["step_ratio"] = found["step_s_after"] / found["step_s_before"]
    return {key: round(value, 3) for key, value in found.items()}


def revision(tree: Path) -> str:
    """The commit of a checkout."""
    return subprocess.run(["git", "-C", str(tree), "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
