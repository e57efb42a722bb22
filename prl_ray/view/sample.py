"""One sample: the score and reward of every line, the credit of every token, and every test."""

from __future__ import annotations

from dataclasses import asdict
from itertools import zip_longest

from prl_ray.errors import DataError
from prl_ray.lines import segment
from prl_ray.tracking.named_lines import line_surprise
from prl_ray.tracking.sample_schema import LEARNT_COLUMNS, SampleRow
from prl_ray.tracking.samples import line_rewards
from prl_ray.view.credit import credit
from prl_ray.view.history import short, shorts
from prl_ray.view.problems import asked, problem_texts
from prl_ray.view.runs import Run
from prl_ray.view.settings import settings
from prl_ray.view.tree import line_means

AUDITED = ("algorithm.name", "algorithm.estimator", "algorithm.gamma", "algorithm.lam", "algorithm.kl_coef",
           "algorithm.kl_in", "algorithm.clip_low", "algorithm.clip_high", "algorithm.is_cap", "algorithm.whiten",
           "algorithm.negative_scale", "algorithm.normaliser", "algorithm.group_baseline", "reward.name",
           "reward.alpha")  # fmt: skip
"""Settings that a token's loss depends on."""


def sample(run: Run, step: int, row: int) -> dict[str, object]:
    """One sample of a step, by its row in the step's file.

    Raises:
        DataError: there is no such row, or the step is thinned out.
    """
    history = run.history
    history.refresh()
    rows = history.rows(step, None, slice(row, row + 1))
    if not rows:
        raise DataError(f"step {step} of {run.name} has no sample {row}")
    found = rows[0]
    text = problem_texts(run).get(found["task_id"])
    entry = history.entry(step)
    configured = settings(run)
    return {
        "run": run.name,
        "step": step,
        "row": row,
        "rows": int(entry.samples.sum()) if entry else row + 1,
        "task": found["task_id"],
        "asks": asked(text),
        "status": found["status"],
        "message": found["message"],
        "group_kind": found["group_kind"],
        "learnt": found["learnt"],
        "finished": found["finished"],
        "passed": found["passed"],
        "total": found["total"],
        "reward": short(found["total_reward"]),
        "prompt": found["prompt"],
        "given": found["program"][: min([found["response_start"], *found["line_starts"][:1]])],
        "lines": _lines(found),
        "error_line": found["error_line"],
        "wrong_line": found["wrong_line"],
        "wrong_found_by": found["wrong_found_by"],
        "tokens": _tokens(found),
        "tests": _tests(found, [asdict(test) for test in text.tests] if text else []),
        "references": list(text.references) if text else [],
        "trace": _trace(found, text.references[0] if text and text.references else ""),
        "settings": {key: value for key, value in configured.items() if key in AUDITED},
        "credit": credit(history, step, row, configured),
    }


def _lines(row: SampleRow) -> list[dict[str, object]]:
    tokens = row["line_tokens"]
    nothing: list[None] = [None] * len(tokens)
    rewards = nothing if row["reward"] is None else line_rewards(row["reward"], tokens)
    advantages = nothing if row["advantage"] is None else line_means(row["advantage"], tokens)
    values = nothing if row["value"] is None else line_means(row["value"], tokens)
    least = line_surprise(row["logprob"], tokens)
    starts = [0, *(token + 1 for token in tokens)]
    return [
        {
            "text": row["program"][a:b],
            "end": a == b and row["finished"] and i == len(tokens) - 1,
            "neutral": row["line_neutral"][i],
            "score": short(row["line_score"][i]),
            "verdict": row["line_verdict"][i],
            "reward": short(rewards[i]),
            "advantage": short(advantages[i]),
            "value": short(values[i]),
            "logprob": short(least[i]),
            "tokens": [min(starts[i], tokens[i]), tokens[i]],
        }
        for i, (a, b) in enumerate(zip(row["line_starts"], row["line_ends"], strict=True))
    ]


def _tokens(row: SampleRow) -> dict[str, object]:
    """Columns over the tokens."""
    ends = row["token_ends"]
    texts = [row["program"][a:b] for a, b in zip([row["response_start"], *ends], ends, strict=False)]
    learnt: dict[str, object] = {name: shorts(row[name]) for name in LEARNT_COLUMNS}
    sampled = {"text": texts, "id": row["tokens"], "version": row["weight_version"], "logprob": shorts(row["logprob"])}
    return {**sampled, **learnt}


def _trace(row: SampleRow, reference: str) -> dict[str, object] | None:
    """The values after each line, and those after the reference's line at the same index. ``apart`` is the first line
    after which the values differ from all states of the reference.
    """
    own, other = row["line_trace"], row["reference_trace"]
    if not any(own):
        return None
    known = {text for text in other if text}
    apart = next((i for i, text in enumerate(own) if text and known and text not in known), None)
    texts = [row["program"][a:b] for a, b in zip(row["line_starts"], row["line_ends"], strict=True)]
    lines = segment(reference)
    sources = [reference[reference.rfind("\n", 0, line.start) + 1 : line.end] for line in lines]
    skipped = max(0, len(segment(row["program"])) + row["finished"] - len(texts))
    theirs = list(zip_longest(sources, other, fillvalue=""))[skipped:]
    rows = [
        {"text": text, "own": mine, "line": line, "reference": value}
        for (text, mine), (line, value) in zip_longest(zip(texts, own, strict=False), theirs, fillvalue=("", ""))
    ]
    return {"apart": apart, "rows": rows, "compared": bool(known)}


def _tests(row: SampleRow, texts: list[dict[str, str]]) -> list[dict[str, object]]:
    got = {answer["test"]: answer["got"] for answer in row["answers"]}
    tests: list[dict[str, object]] = []
    for i, letter in enumerate(row["tests"]):
        text = texts[i] if i < len(texts) else {"given": "", "expected": ""}
        answer = got.get(i, text["expected"] if letter == "p" else "")
        tests.append({**text, "outcome": {"p": "passed", "f": "failed"}.get(letter, "did not run"), "got": answer})
    return tests
