"""A run folder as a run of many steps would write it, without the run: for measuring the viewer and its writer."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from prl_ray.lines import line_end_tokens, units
from prl_ray.problems import Problem, load_problems
from prl_ray.tracking.problem_file import write_problems
from prl_ray.tracking.sample_schema import LEARNT_COLUMNS
from prl_ray.tracking.sample_store import SUMMARY, SampleStore
from prl_ray.tracking.sample_table import LineFindings, SamplePart, step_table
from prl_ray.trajectory import STATUSES, FloatArray, Report, TrajectoryBatch, Verdicts

TOKEN_CHARACTERS = 3
TOKENS = 128
"""Tokens of a response: short programs are followed by comment lines up to about so many."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large the run is."""

    steps: int = 1000
    prompts: int = 250
    samples: int = 4
    problems: int = 1000
    varieties: int = 8
    """Step files that are written; later steps are links to them, so that a large run needs little disk and time."""


def ends_of(tokens: Sequence[int]) -> np.ndarray:
    """Ends of tokens that are three characters each; a token is its text's length in its last digit."""
    return np.cumsum(np.asarray(tokens, dtype=np.int64) % 10)


def write_run(folder: Path, size: Size, seed: int = 1) -> list[float]:
    """Writes the run; the seconds that the writer took for each written step, its table included."""
    rng = np.random.default_rng(seed)
    problems = load_problems("composed", split="train", limit=size.problems, seed=seed)
    write_problems(folder, problems)
    (folder / "config.yaml").write_text("seed: 1\nname: synthetic\nmodel: {name: tiny}\nreward: {name: process_mean}\n")
    store = SampleStore(folder / "samples")
    seconds = []
    for step in range(min(size.steps, size.varieties)):
        part = _batch(problems, size, rng)
        start = time.perf_counter()
        store.write(step, _table(part))
        seconds.append(time.perf_counter() - start)
    lines = store.summaries()
    with (store.folder / SUMMARY).open("a", encoding="utf-8") as file:
        for step in range(size.varieties, size.steps):
            store.path(step).hardlink_to(store.path(step % size.varieties))
            file.write(json.dumps({**lines[step % size.varieties], "step": step}, separators=(",", ":")) + "\n")
    rows = [json.dumps(_metrics(step, size, rng)) + "\n" for step in range(size.steps)]
    (folder / "metrics.jsonl").write_text("".join(rows), encoding="utf-8")
    return seconds


def _table(part: SamplePart) -> pa.Table:
    return step_table([part], lambda prompt, tokens: ends_of(tokens), lambda tokens: f"prompt of {len(tokens)} tokens")


def _batch(problems: Sequence[Problem], size: Size, rng: np.random.Generator) -> SamplePart:
    chosen = rng.choice(len(problems), size.prompts, replace=False)
    picked = [problems[i] for i in chosen for _ in range(size.samples)]
    programs = [_program(problem, rng) for problem in picked]
    tokens = [_tokens(program, rng) for program in programs]
    lines = [units(program, "line") for program in programs]
    ends = [line_end_tokens(ends_of(own), of, 0)[0] for own, of in zip(tokens, lines, strict=True)]
    neutral = [[line.neutral for line in of] for of in lines]
    count, lengths = len(programs), [len(own) + 1 for own in tokens]
    line_ends = [np.append(own, len(t)) for own, t in zip(ends, tokens, strict=True)]
    total, total_lines = sum(lengths), sum(map(len, line_ends))
    batch = TrajectoryBatch(
        task_ids=tuple(problem.task_id for problem in picked),
        prompt_ids=np.repeat(np.arange(size.prompts), size.samples),
        programs=tuple(programs),
        finished=np.ones(count, bool),
        prompt_tokens=np.ones(count * 20, np.int32),
        prompt_offsets=np.arange(count + 1) * 20,
        tokens=np.concatenate([np.append(own, 10) for own in tokens]).astype(np.int32),
        token_offsets=np.cumsum([0, *lengths]),
        logprobs=-rng.exponential(0.4, total).astype(np.float32),
        weight_versions=np.zeros(total, np.int32),
        line_ends=np.concatenate(line_ends).astype(np.int32),
        line_offsets=np.cumsum([0, *map(len, line_ends)]),
        line_neutral=np.array([x for own in neutral for x in [*own, False]]),
    )
    ok = rng.random(count) < 0.4
    reports = np.empty(count, dtype=object)
    for i in range(count):
        reports[i] = Report("ppppp", (), "") if ok[i] else Report("ppfpp", ((2, "[1, 2, 3]"),), "f([1]): got [1, 2, 3]")
    status = np.where(ok, STATUSES.index("passed"), STATUSES.index("wrong_answer")).astype(np.uint8)
    passed, tests, no_line = np.where(ok, 5, 4), np.full(count, 5), np.full(count, -1)
    verdicts = Verdicts(status, passed, tests, no_line, batch.finished, np.diff(batch.token_offsets), reports)
    wrong = np.where(ok, np.diff(batch.line_offsets), 1)
    found = LineFindings(wrong, ["passed" if x else "state" for x in ok], rng.integers(1, 1 << 60, total_lines))
    learnt: dict[str, FloatArray] = {name: rng.normal(0, 0.3, total).astype(np.float32) for name in LEARNT_COLUMNS}
    return SamplePart(batch, verdicts, rng.random(total_lines).astype(np.float32), found, learnt)


def _program(problem: Problem, rng: np.random.Generator) -> str:
    lines = problem.references[0].split("\n")
    while sum(map(len, lines)) < TOKENS * TOKEN_CHARACTERS - 60:
        lines.insert(
            1 + int(rng.integers(len(lines) - 1)), f"    x{int(rng.integers(90))} = sorted(range({len(lines)}))"
        )
    return "\n".join(lines)


def _tokens(program: str, rng: np.random.Generator) -> list[int]:
    whole, rest = divmod(len(program), TOKEN_CHARACTERS)
    lengths = [TOKEN_CHARACTERS] * whole + ([rest] if rest else [])
    return (rng.integers(1, 4000, len(lengths)) * 10 + lengths).tolist()


def _metrics(step: int, size: Size, rng: np.random.Generator) -> dict[str, object]:
    rise = step / size.steps
    values = {
        "critic/score/mean": 0.2 + 0.4 * rise,
        "critic/rewards/mean": rise,
        "actor/kl": 0.02 * rise,
        "actor/entropy": 1 - 0.5 * rise,
        "response_length/mean": 128.0,
        "response_length/max": 200.0,
        "line/per_sample": 12.0,
        "critic/vf_explained_var": 0.5 * rise,
        "prm/score_gap": 0.1,
        **{f"timing_s/{name}": 10.0 for name in ("gen", "reward", "old_log_prob", "ref", "update_actor", "step")},
        **{f"other/{i}": 1.0 for i in range(40)},
    }
    noisy = {name: value * float(rng.normal(1, 0.05)) for name, value in values.items()}
    return {"step": step, "time": time.time(), "stage": "ppo", "metrics": noisy}
