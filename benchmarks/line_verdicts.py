"""Line verdicts by execution: how many of a policy's failures are located, whether the ways agree, and what it costs.

Reads sampled programs of run folders that were evaluated (``samples_POLICY_sampled.jsonl``), a folder a problem set.
For each failure the three ways of ``prl_ray.credit.verdicts`` are asked apart: how many first lines the values of the
variables keep (``state``), how many a reference completes (``prefix``), behind how many a small repair helps
(``repair``). ``agreement`` is the share of failures in which two ways that both keep something keep the same lines;
``located`` the share that the verdict as a whole locates. ``share_of_step`` is the wall time of line verdicts in a step
of a run that used them (``--step-run``), over the step's.

  python benchmarks/line_verdicts.py --composed runs/A --mbpp runs/B --humaneval runs/C --step-run runs/D
  python benchmarks/line_verdicts.py --sample composed=runs/NAME/sft --sample mbpp=smollm2 --path mbpp.jsonl
      samples here, with transformers and without Ray, what has no run folder
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import RESULTS, write_result
from benchmarks._runs import evaluated_samples
from prl_ray.actors.verifier import COMPLETION_S
from prl_ray.credit.verdicts import LineJudge
from prl_ray.models.dtype import choose_dtype
from prl_ray.models.encode import render_prompt
from prl_ray.models.registry import resolve_model
from prl_ray.ppo.line_credit import UNKNOWN
from prl_ray.problems import Problem, load_problems
from prl_ray.supervision.completions import given_lines
from prl_ray.tracking.metrics_file import read_records
from sandbox_workers import Limits, Sandbox, Status

SETS = ("composed", "mbpp", "humaneval")
SAMPLED: dict[str, dict[str, Any]] = {
    "composed": {"min_difficulty": 2, "max_difficulty": 7},
    "mbpp": {},
    "humaneval": {},
}
"""What is asked of a problem set that is sampled here."""
BATCH, MOST_TOKENS = 24, 112
T = TypeVar("T")
PAIRS = (("state", "prefix"), ("state", "repair"), ("prefix", "repair"))


@dataclass
class Found:
    """What was found of one problem set's failures."""

    failures: int = 0
    located: int = 0
    found_by: Counter[str] = field(default_factory=Counter)
    agree: Counter[tuple[str, str]] = field(default_factory=Counter)
    both: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: float = 0.0
    runs: int = 0

    def figures(self) -> dict[str, Any]:
        """As the result file holds them."""
        return {
            "failures": self.failures,
            "located": self.located / max(self.failures, 1),
            "found_by": {name or "unknown": count for name, count in self.found_by.most_common()},
            "agreement": {f"{a}_{b}": self.agree[a, b] / n for (a, b), n in self.both.items()},
            "compared": {f"{a}_{b}": n for (a, b), n in self.both.items()},
            "programs_per_second": self.failures / self.seconds if self.seconds else 0.0,
            "runs_per_failure": self.runs / max(self.failures, 1),
        }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in SETS:
        parser.add_argument(f"--{name}", type=Path, metavar="RUN_FOLDER", help=f"evaluated run on {name}")
    parser.add_argument("--sample", action="append", default=[], metavar="SET=MODEL", help="sample it here instead")
    parser.add_argument("--problems", type=int, default=60, help="test problems a set that is sampled here")
    parser.add_argument("--samples", type=int, default=2, help="programs per problem that is sampled here")
    parser.add_argument("--path", default="", help="file of mbpp's problems")
    parser.add_argument("--step-run", type=Path, metavar="RUN_FOLDER", help="run whose estimator used line verdicts")
    parser.add_argument("--policy", default="", help="base, sft or ppo; by default the last that was evaluated")
    parser.add_argument("--most", type=int, default=200, help="failures a problem set at most")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    rows: dict[str, dict[str, Any]] = {}
    for name in SETS:
        folder = getattr(options, name)
        if folder:
            rows[name] = {
                "problems": name,
                "run": folder.name,
                **measure(failures(folder, options.policy, options.most)),
            }
    for given in options.sample:
        name, _, model = given.partition("=")
        problems = load_problems(name, path=options.path if name == "mbpp" else "", split="test", **SAMPLED[name])
        chosen = problems[: options.problems]
        found = list(_spread(sampled_failures(model, chosen, options.samples), options.most))
        rows[name] = {"problems": name, "run": f"sampled here: {Path(model).name}", **measure(found)}
    if not rows:
        sys.exit("error: give at least one of --composed, --mbpp, --humaneval and --sample")
    headline = {f"located_{name}": row["located"] for name, row in rows.items()}
    agreement = rows.get("composed", {}).get("agreement", {}).get("state_prefix")
    headline |= {"agreement": agreement} if agreement is not None else {}
    headline |= {"share_of_step": step_share(options.step_run)} if options.step_run else {}
    config = {
        "most": options.most,
        "policy": options.policy or "the last one",
        "limits": f"{COMPLETION_S} s wall, 1 worker",
    }
    print(headline, write_result("line_verdicts", headline, config, list(rows.values()), folder=options.results))


def failures(folder: Path, policy: str, most: int) -> list[tuple[Problem, str]]:
    """Different failing programs of an evaluated run, spread over its problems, with their problems."""
    samples = evaluated_samples(folder, policy)
    found = {(problem.task_id, program): problem for problem, program, status in samples if status != Status.PASSED}
    return [(problem, program) for (_, program), problem in _spread(list(found.items()), most)]


def sampled_failures(model: str, problems: Sequence[Problem], samples: int) -> list[tuple[Problem, str]]:
    """Different failing programs that a model writes at temperature 1, in the order of the problems."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = resolve_model(path=model) if Path(model).is_dir() else resolve_model(model)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    policy = AutoModelForCausalLM.from_pretrained(folder, dtype=choose_dtype("auto").dtype).eval()
    torch.manual_seed(0)
    written: dict[tuple[str, str], Problem] = {}
    asked = [problem for problem in problems for _ in range(samples)]
    for start in range(0, len(asked), BATCH):
        part = asked[start : start + BATCH]
        prompts = [list(render_prompt(tokenizer, problem)) for problem in part]
        longest = max(map(len, prompts))
        ids = torch.tensor([[tokenizer.pad_token_id] * (longest - len(p)) + p for p in prompts])
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
        with torch.no_grad():
            out = policy.generate(
                ids, attention_mask=mask, do_sample=True, top_k=0, top_p=1.0, max_new_tokens=MOST_TOKENS
            )
        for problem, tokens in zip(part, out[:, longest:].tolist(), strict=True):
            text = problem.code_prefix + tokenizer.decode(tokens, skip_special_tokens=True)
            written[problem.task_id, text] = problem
    with Sandbox(limits=Limits(wall_s=COMPLETION_S)) as sandbox:
        verdicts = [(problem, text, sandbox.run(text, problem.tests)) for (_, text), problem in written.items()]
    return [(p, text) for p, text, v in verdicts if not v.ok and v.status is not Status.SANDBOX_ERROR and p.references]


def _spread(items: list[T], most: int) -> Iterator[T]:
    chosen = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return (items[i] for i in dict.fromkeys(chosen.tolist()))


def measure(programs: Sequence[tuple[Problem, str]]) -> dict[str, Any]:
    """The verdict on each failure, timed as a verifier gives it, then each way by itself."""
    found = Found()
    with Sandbox(limits=Limits(wall_s=COMPLETION_S)) as sandbox:

        def judge() -> LineJudge:
            return LineJudge(partial(sandbox.run, stop_at_first_failure=True), sandbox.call)

        timed = judge()
        for problem, program in programs:
            start = time.perf_counter()
            verdict = timed.verdict(problem, program, False)
            found.seconds += time.perf_counter() - start
            found.failures += 1
            found.located += verdict.wrong != UNKNOWN
            found.found_by[verdict.found_by] += 1
            _compare(found, judge(), problem, program)  # a new one, which has met no timeout yet
        found.runs = timed.runs
    return found.figures()


def _compare(found: Found, judge: LineJudge, problem: Problem, program: str) -> None:
    """Counts in how many failures two ways both keep something, and keep the same."""
    given = given_lines(problem, program)
    places = judge.references(problem).anchors(program, judge.trace(problem, program))
    kept = {
        "state": judge.by_state(problem, program, places, given),
        "prefix": judge.by_prefix(problem, program, places, given),
        "repair": judge.by_repair(problem, program),
    }
    for a, b in PAIRS:
        if kept[a] > given and kept[b] > given:
            found.both[a, b] += 1
            found.agree[a, b] += kept[a] == kept[b]


def step_share(folder: Path) -> float:
    """Median share of line verdicts in the wall time of a run's PPO steps. Ends the command where none was measured."""
    shares = [
        record.metrics["timing_s/locate"] / record.metrics["timing_s/step"]
        for record in read_records(folder / "metrics.jsonl")
        if record.stage == "ppo" and {"timing_s/locate", "timing_s/step"} <= set(record.metrics)
    ]
    if not shares:
        sys.exit(f"error: {folder} has no PPO step with timing_s/locate")
    return float(np.median(shares))


if __name__ == "__main__":
    main()
