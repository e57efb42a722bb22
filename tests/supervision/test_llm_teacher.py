"""A language model as teacher: its answers are variants, or are counted by what was wrong with them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply, completion, serving

from prl_ray.problems import Problem
from prl_ray.supervision import LabelConfig, LabelReport, RuleTeachers, label_problems, load_facts, save_labels
from prl_ray.supervision.llm import (
    Answer,
    CachedChat,
    Endpoint,
    LlmConfig,
    LlmTeachers,
    MixedTeachers,
    Request,
)
from prl_ray.supervision.local import LocalExecution
from prl_ray.supervision.report import DROPS
from sandbox_workers import TestSuite

PROGRAM = """def f(xs, limit):
    total = 0
    for x in xs:
        if x > limit:
            total += x
    return total"""
TESTS = ("assert f([1, 5, 2], 1) == 7", "assert f([], 0) == 0", "assert f([3], 3) == 0")
PROBLEM = Problem("t", "Sum what is above the limit.", "f", TestSuite("assert", tests=TESTS), (PROGRAM,), "train")
CONFIG = LlmConfig(model="test-model", rounds=1)
LABELS = LabelConfig(9, refactoring_share=5 / 9, oversample=1, on_refactored=0, truncations_per_problem=0)

MUTATIONS = {
    2: "```python\n    total = 1\n```",  # killed
    3: "3 |     for x in xs[1:]:",  # the tests do not notice
    4: "Sure! Here's a bug:\nif x >= limit:  # was >",  # killed
    5: "I would rather not.",
    6: "return total",
}
REFACTORINGS = {
    2: "total = int()",
    3: "    for x in list(xs):",
    4: "`if limit < x:`",
    5: "amount = x\n            total += amount",
    6: "return total + 1",  # is none
}


def by_line(body: dict[str, Any]) -> Reply:
    """The answers above, by the line that the question ends with."""
    prompt = body["messages"][0]["content"]
    number = int(re.findall(r"^(\d+) \| ", prompt, re.MULTILINE)[-1])
    return completion((MUTATIONS if "realistic bug" in prompt else REFACTORINGS)[number])


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with serving(ChatServer(by_line)) as server:
        yield server


class Says:
    """Answers every question with the same words."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = answers
        self.requests: list[Request] = []

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        self.requests += requests
        return [self.answers[i % len(self.answers)] for i in range(len(requests))]


def counts_of(chat: Says, kind: Any, program: str, budget: int, **settings: Any) -> dict[str, int]:
    teacher = LlmTeachers(chat, replace(CONFIG, **settings)).teach(PROBLEM, program, set())
    proposals = teacher.propose(kind, budget, random.Random(0))
    counts = dict(proposals.counts[f"llm_{kind}"])
    assert counts["asked"] == counts.get("proposed", 0) + sum(counts.get(why, 0) for why in DROPS)
    return counts


def labelled(server: ChatServer, execution: LocalExecution, cache: Path, **settings: Any) -> LabelReport:
    chat = CachedChat(Endpoint(server.url, attempts=2, pause_s=0.01), cache)
    teachers = LlmTeachers(chat, replace(CONFIG, **settings), seed=3)
    return label_problems([PROBLEM], LABELS, execution.verify, execution.call, teachers=teachers)


def test_execution_labels_what_the_model_proposes(
    server: ChatServer, execution: LocalExecution, tmp_path: Path
) -> None:
    report = labelled(server, execution, tmp_path / "cache")
    refactorings, mutations = report.table["llm_refactoring"], report.table["llm_mutation"]
    assert refactorings == {
        "asked": 5, "proposed": 5, "executed": 5, "survived": 4, "positive": 4, "killed": 1, "negative": 1, "kept": 5
    }  # fmt: skip
    assert mutations == {
        "asked": 5, "proposed": 3, "unparsed": 1, "unchanged": 1,
        "executed": 3, "killed": 2, "negative": 2, "survived": 1, "unknown": 1, "kept": 2,
    }  # fmt: skip
    found = {(row.operator, row.program): row.line_labels for row in report.rows}
    assert found[("llm_mutation", PROGRAM.replace("= 0", "= 1"))] == (1, 0, -1, -1, -1, -1, -1)
    assert found[("llm_mutation", PROGRAM.replace("x > limit", "x >= limit"))] == (1, 1, 1, 0, -1, -1, -1)
    assert found[("llm_refactoring", PROGRAM.replace("x > limit", "limit < x"))] == (1,) * 7
    assert found[("llm_refactoring", PROGRAM + " + 1")] == (1, 1, 1, 1, 1, 0, -1)
    several = PROGRAM.replace("total += x", "amount = x\n            total += amount")
    assert found[("llm_refactoring", several)] == (1,) * 8
    assert len(found) == len(report.rows) == 1 + 4 + 1 + 2
    assert report.cost == {"requests": 10, "prompt_tokens": 1000, "completion_tokens": 100}


def test_cost_and_yield_are_in_the_card_and_the_summary(
    server: ChatServer, execution: LocalExecution, tmp_path: Path
) -> None:
    report = labelled(server, execution, tmp_path / "cache")
    folder = save_labels(tmp_path / "labels", report, LABELS)
    assert load_facts(folder)["cost"]["prompt_tokens"] == 1000
    card = (folder / "README.md").read_text()
    assert "- prompt_tokens: 1000" in card and "| llm_mutation | 5 | 3 | 3 | 2 | 1 | 2 |" in card
    assert report.llm_summary().splitlines() == [
        "llm_mutation: 5 asked, 3 executed, 2 killed, 1 survived, 2 kept; dropped: 1 unparsed, 1 unchanged",
        "llm_refactoring: 5 asked, 5 executed, 1 killed, 4 survived, 5 kept",
        "cost: 10 requests, 0 retried, 0 failed, 0 cached, 1000 prompt tokens, 100 completion tokens",
    ]


def test_a_repeated_labelling_costs_nothing(server: ChatServer, execution: LocalExecution, tmp_path: Path) -> None:
    first = labelled(server, execution, tmp_path)
    again = labelled(server, execution, tmp_path)
    assert again.rows == first.rows and again.table == first.table
    assert len(server.bodies) == 10 and again.cost == {"cached": 10}


def test_requests_that_fail_never_become_labels(execution: LocalExecution, tmp_path: Path) -> None:
    with serving(ChatServer(lambda body: (500, "oops"))) as server:
        report = labelled(server, execution, tmp_path)
    assert [row.operator for row in report.rows] == ["reference"]
    assert report.table["llm_mutation"]["failed"] == report.table["llm_mutation"]["asked"] == 9
    assert report.cost["failed"] == 5 + 9 and report.cost["retried"] == 5 + 9


def test_problems_side_by_side_are_labelled_as_one_by_one(server: ChatServer, execution: LocalExecution) -> None:
    problems = [replace(PROBLEM, task_id=f"t{i}") for i in range(6)]
    teachers = LlmTeachers(Endpoint(server.url), CONFIG)
    together = label_problems(problems, LABELS, execution.verify, teachers=teachers)
    alone = label_problems(problems, LABELS, execution.verify, teachers=replace(teachers, parallel=1))
    assert together == alone


@pytest.mark.parametrize(
    ("answer", "kind", "what"),
    [
        (Answer(error="HTTP 500"), "mutation", "failed"),
        (Answer("return total +", whole=False), "mutation", "cut"),
        (Answer("no", whole=True), "mutation", "unparsed"),
        (Answer("x = 1\ny = 2"), "mutation", "several_lines"),
        (Answer("x = 1; y = 2"), "mutation", "several_lines"),
        (Answer("x = 1\ny = 2"), "refactoring", "proposed"),
        (Answer("99 | x = 1"), "mutation", "elsewhere"),
        (Answer("elif x:"), "mutation", "invalid"),
        (Answer("total = 1\nand some more words", whole=False), "mutation", "proposed"),
    ],
)
def test_answers_are_dropped_by_reason(answer: Answer, kind: str, what: str) -> None:
    assert counts_of(Says(answer), kind, "def f(xs, limit):\n    return limit", 1) == {"asked": 1, what: 1}


def test_what_was_proposed_is_not_proposed_again() -> None:
    chat = Says(Answer("total = 1"))
    teacher = LlmTeachers(chat, CONFIG).teach(PROBLEM, PROGRAM, set())
    first = teacher.propose("mutation", 5, random.Random(0))
    again = teacher.propose("mutation", 5, random.Random(0))
    assert first.counts["llm_mutation"]["proposed"] == 3  # a header cannot be an assignment
    assert again.counts["llm_mutation"] == {"asked": 5, "duplicate": 3, "invalid": 2}


def test_a_second_round_asks_for_what_is_missing_with_another_seed() -> None:
    chat = Says(Answer("nothing"))
    assert counts_of(chat, "mutation", PROGRAM, 5, rounds=2) == {"asked": 10, "unparsed": 10}
    asked = {(request.prompt, request.seed) for request in chat.requests}
    assert len({prompt for prompt, _ in asked}) == 5
    assert len({seed for _, seed in asked}) == 10 and max(seed for _, seed in asked) < 2**31


def test_lines_of_the_prefix_and_bare_keywords_are_not_asked_about() -> None:
    program = "def f(x):\n    if x:\n        y = 1\n    else:\n        y = 2\n    # why\n    return y"
    chat = Says(Answer("nothing"))
    problem = replace(PROBLEM, references=(program,), code_prefix=program[: program.index("        y = 1")])
    LlmTeachers(chat, CONFIG).teach(problem, program, set()).propose("mutation", 30, random.Random(0))
    assert {int(re.findall(r"^(\d+) \| ", r.prompt, re.MULTILINE)[-1]) for r in chat.requests} == {3, 5, 7}


def test_a_line_keeps_its_comment() -> None:
    program = "def f(x):\n    return x  # as it is"
    teacher = LlmTeachers(Says(Answer("return x + 1  # changed")), CONFIG).teach(PROBLEM, program, set())
    variants = teacher.propose("mutation", 1, random.Random(0)).variants
    assert [v.program for v in variants] == ["def f(x):\n    return x + 1  # as it is"]


def test_mixed_shares_the_budget_and_rules_fill_what_the_model_does_not_give() -> None:
    def proposed(chat: Says, share: float) -> dict[bool, int]:
        mixed = MixedTeachers(LlmTeachers(chat, CONFIG), RuleTeachers(), share)
        variants = mixed.teach(PROBLEM, PROGRAM, set()).propose("mutation", 20, random.Random(1)).variants
        llm = sum(variant.operator == "llm_mutation" for variant in variants)
        assert len({variant.program for variant in variants}) == len(variants)
        return {True: llm, False: len(variants) - llm}

    varied = [Answer(f"total = {i}") for i in range(50, 90)]
    assert proposed(Says(*varied), 0.0) == {True: 0, False: 20}
    half = proposed(Says(*varied), 0.5)
    assert 1 <= half[True] <= 15 and half[True] + half[False] == 20
    assert proposed(Says(Answer("nothing")), 1.0) == {True: 0, False: 20}


def test_identities_tell_apart_what_proposes_otherwise() -> None:
    chat = Says(Answer(""))
    llm = LlmTeachers(chat, CONFIG)
    others = [
        LlmTeachers(chat, replace(CONFIG, model="other")),
        LlmTeachers(chat, CONFIG, seed=1),
        RuleTeachers(),
        RuleTeachers({"method_swap": 0.0}),
        MixedTeachers(llm, RuleTeachers(), 0.5),
        MixedTeachers(llm, RuleTeachers(), 0.6),
    ]
    identities = [str(teachers.identity) for teachers in (llm, *others)]
    assert len(set(identities)) == len(identities)
