"""A chat model's answer is judged by the code in its fence; lines and tokens stay where they were."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.actors.responses import Group, Responses
from prl_ray.actors.sampling_engine import GeneratorSetup
from prl_ray.lines import segment
from prl_ray.models.encode import render_prompt
from prl_ray.models.policy import load_tokenizer
from prl_ray.models.smollm2 import smollm2_folder
from prl_ray.problems import Problem, load_problems
from prl_ray.trajectory import TrajectoryBatch
from sandbox_workers import program_of

CODE = "def f(x):\n    return x + 1\n"
ANSWER = f"Sure! Here's the function:\n\n```python\n{CODE}```\n\nIt adds one.\n```\nprint(f(1))\n```\n"


def run_alone(program: str) -> dict[str, object]:
    space: dict[str, object] = {}
    exec(compile(program, "answer", "exec"), space)
    return space


def test_the_fence_is_the_program_and_the_rest_are_comments() -> None:
    program = program_of(ANSWER, entry_point="f")
    assert len(program) == len(ANSWER) and program.count("\n") == ANSWER.count("\n")
    assert program.index(CODE) == ANSWER.index(CODE)
    assert run_alone(program)["f"](2) == 3  # type: ignore[operator]
    texts = [(program[line.start : line.end], line.neutral) for line in segment(program)]
    assert [text for text, neutral in texts if not neutral] == ["def f(x):", "return x + 1"]
    assert all(text.startswith("#") for text, neutral in texts if neutral)


@pytest.mark.parametrize(
    "answer",
    [
        CODE,
        'def f(x):\n    """Adds.\n\n```\nf(1)\n```\n    """\n    return x + 1\n',
        "",
        "a ``` b\n",
    ],
)
def test_an_answer_without_a_fence_is_the_program(answer: str) -> None:
    assert program_of(answer, entry_point="f") == answer


def test_the_block_that_defines_the_function_is_taken_else_the_last_in_the_language() -> None:
    first, second = "```python\ndef f(x):\n    return 1\n```\n", "```python\nassert f(1) == 1\n```\n"
    shell = "```sh\npip install x\n```\n"
    assert "\ndef f(x):" in program_of(first + second + shell, entry_point="f")
    assert "\nassert f(1)" in program_of(first + second + shell)
    corrected = first + "Oh no, rather:\n" + first.replace("return 1", "return 2") + shell
    assert run_alone(program_of(corrected, entry_point="f"))["f"](0) == 2  # type: ignore[operator]
    cpp = "Here:\n```cpp\nint main() {}\n```\nDone\\\n"
    assert program_of(cpp, language="cpp") == "//re:\n//`cpp\nint main() {}\n//`\n//ne \n"


PLAIN, TRIED = f"```\n{CODE}```\n", "Try it:\n```python\nprint(f(3))\n```\n"
QUOTED = 'def f(x):\n    """Adds.\n```\nf(1)\n```\n    """\n    return x + 1\n'


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(f'Use """ for docstrings.\n\n```python\n{CODE}```\n', id="prose names three quotes"),
        pytest.param(f"It's '''so''' or '''so.\n```python\n{CODE}```\n", id="an odd number of them"),
        pytest.param(PLAIN + TRIED, id="the function has no language, its use has"),
        pytest.param(f"````markdown\n# T\n```python\n{CODE}```\n````\n", id="a fenced Markdown text"),
        pytest.param(f"```python\n{CODE}``` That is all.\nBye\n", id="words behind the closing fence"),
        pytest.param(f"```python3.11\n{CODE}```\nor\n```\nf(1)\n```\n", id="a version"),
        pytest.param(f"```{{.python .numbered}}\n{CODE}```\n```\n2\n```\n", id="Pandoc's attributes"),
        pytest.param(f"\ufeff```python\n{CODE}```\n", id="a byte order mark"),
        pytest.param(f"So:\x0c\n```python\n{CODE}```\x0c\nBye", id="a form feed behind the fence"),
        pytest.param(f"```python\n{QUOTED}```\nBye\n", id="a fence in a docstring in a fence"),
        pytest.param(f"~~~~py\r\n{CODE}~~~~\r\nBye\u2028now", id="tildes, CRLF, a line separator"),
    ],
)
def test_answers_as_models_write_them(answer: str) -> None:
    """Before: a compile error for most of these, or the wrong block."""
    program = program_of(answer, entry_point="f")
    assert len(program) == len(answer)
    assert run_alone(program)["f"](2) == 3  # type: ignore[operator]


def test_nothing_is_taken_from_thinking_that_is_cut_off() -> None:
    """Before: the draft's block was the program, and could pass."""
    program = program_of(f"<think>\n```python\n{CODE}```\nBut what if", entry_point="f")
    assert "f" not in run_alone(program) and program.startswith("#think>\n#``python\n#ef f(x):")


def test_a_fence_that_is_cut_off_goes_to_the_end() -> None:
    assert program_of("So:\n~~~\ny = 1\nx = ") == "#o:\n#~~\ny = 1\nx = "


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_line_end_closes_a_fence(newline: str) -> None:
    answer = f"So:\n```python\n{CODE}```\nDone".replace("\n", newline)
    program = program_of(answer)
    assert len(program) == len(answer) and run_alone(program)["f"](2) == 3  # type: ignore[operator]


@pytest.mark.parametrize(
    "thought",
    [
        "<think>\n```python\ndef f(x):\n    return 0\n```\n</think>\n",
        "<think>\n```python\ndef f(x):\n    return 0\nno, that is wrong\n</think>\n\n",
        "No opening tag, as some templates have it.\n~~~\nf = None\n</think> \r\n",
    ],
)
def test_nothing_is_taken_from_what_a_model_thought(thought: str) -> None:
    fence = "```python\ndef g(x):\n    return x + 1\n```\n"
    for answer in (thought + fence, thought + fence.replace("```python", "").replace("```", "")):
        program = program_of(answer, entry_point="f")
        assert len(program) == len(answer)
        space = run_alone(program)
        assert space["g"](2) == 3 and "f" not in space  # type: ignore[operator]


def test_a_program_may_write_about_thinking() -> None:
    program = 'tag = "</think>"\nprint(tag)\n'
    assert program_of(program) == program


PROSE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="`~\"'"), max_size=40)


@given(PROSE, PROSE)
def test_prose_never_changes_what_the_code_does(before: str, after: str) -> None:
    answer = f"{before}\n```python\n{CODE}```\n{after}"
    program = program_of(answer)
    assert len(program) == len(answer) and run_alone(program)["f"](2) == 3  # type: ignore[operator]


def sampled(answer: str, extract: str, problem: Problem) -> TrajectoryBatch:
    """What a generator makes of an answer, without an engine."""
    folder = smollm2_folder()
    responses = Responses(GeneratorSetup(folder, "float32", 512, extract=extract))  # type: ignore[arg-type]
    tokenizer = load_tokenizer(folder)
    tokens = [*tokenizer.encode(answer), tokenizer.eos_token_id]

    logprobs = [{token: SimpleNamespace(logprob=-1.0)} for token in tokens]
    versions = [SimpleNamespace(version="0", start=0, end=len(tokens))]
    output = SimpleNamespace(token_ids=tokens, logprobs=logprobs, weight_versions=versions)
    return responses.batch(Group(problem, 0, render_prompt(tokenizer, problem), [output, output]))


@pytest.mark.parametrize(("extract", "extracted"), [("auto", True), ("fence", True), ("none", False)])
def test_tokens_keep_their_lines(extract: str, extracted: bool) -> None:
    problem = replace(load_problems("composed", limit=1)[0], entry_point="f", code_prefix="")
    batch = sampled(ANSWER, extract, problem)
    assert batch.extracted is not None and batch.extracted.tolist() == [extracted] * 2
    assert (program_of(ANSWER, entry_point="f") == batch.programs[0]) is extracted
    lines = segment(batch.programs[0])
    assert batch.line_offsets.tolist() == [0, len(lines) + 1, 2 * len(lines) + 2]
    tokenizer = load_tokenizer(smollm2_folder())
    own = batch.tokens[: batch.token_offsets[1]].tolist()
    for line, end in zip(lines, batch.line_ends, strict=False):
        assert len(tokenizer.decode(own[:end])) < line.end <= len(tokenizer.decode(own[: end + 1]))
    if extracted:
        assert batch.line_neutral[: len(lines)].sum() == len(lines) - 2
    joined = TrajectoryBatch.concat([batch, replace(batch, extracted=None)])
    assert joined.extracted is not None and joined.extracted.tolist() == [extracted] * 2 + [False] * 2
    assert np.array_equal(joined.take([1, 2]).extracted, [extracted, False])


def test_the_sandbox_command_reads_answers(tmp_path: Path) -> None:
    (tmp_path / "answer.md").write_text(ANSWER)
    (tmp_path / "tests.json").write_text(json.dumps({"kind": "assert", "tests": ["assert f(1) == 2"]}))
    command = [sys.executable, "-m", "sandbox_workers", "run", str(tmp_path / "answer.md"), "--json"]
    command += ["--tests", str(tmp_path / "tests.json")]
    found = [
        json.loads(subprocess.run([*command, *more], capture_output=True, text=True, check=False).stdout)["status"]
        for more in ([], ["--extract", "fence"], ["--extract", "none"])
    ]
    assert found == ["passed", "passed", "compile_error"]
