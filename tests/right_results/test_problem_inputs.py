"""Problems as files have them: repeated ids, half characters, every kind of line end, prompts beyond the context."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prl_ray import compose
from prl_ray.actors.engine import EngineSettings
from prl_ray.actors.supervised import SupervisedSetup
from prl_ray.actors.verifier import _error_line
from prl_ray.errors import ConfigError, DataError
from prl_ray.examples import Example, as_batch, check_lengths
from prl_ray.inputs import RunInputs
from prl_ray.lines import segment
from prl_ray.models.encode import encode_program, tokenizer_texts
from prl_ray.models.policy import load_tokenizer
from prl_ray.models.registry import context_length
from prl_ray.models.tiny import TinyShape, write_tiny
from prl_ray.problems import load_problems
from prl_ray.problems.records import newlines

RECORD = {
    "task_id": "a",
    "prompt": "Add.",
    "tests": ["assert f(1) == 2"],
    "references": ["def f(x):\n    return x + 1"],
}


def written(folder: Path, *records: dict[str, object]) -> str:
    file = folder / "problems.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(file)


def test_repeated_ids_are_refused_with_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"problems.jsonl:2: task_id 'a' was used before"):
        load_problems("jsonl", path=written(tmp_path, RECORD, RECORD))
    mbpp = {"task_id": 601, "text": "Add.", "code": RECORD["references"][0], "test_list": ["assert f(1) == 2"] * 3}  # type: ignore[index]
    mbpp["test_setup_code"] = ""
    with pytest.raises(DataError, match=r"problems.jsonl:2: task_id 601 was used before"):
        load_problems("mbpp", path=written(tmp_path, mbpp, mbpp))


def twice(path: str = "", split: str = "train", limit: int | None = None, seed: int = 0) -> list[object]:
    return [*load_problems("composed", limit=1)] * 2


def test_repeated_ids_of_a_loader_of_ones_own_are_refused() -> None:
    with pytest.raises(DataError, match="used by two problems"):
        load_problems(f"{__name__}:twice")


@pytest.mark.parametrize("key", ["prompt", "tests", "references"])
def test_half_characters_are_refused_with_file_and_line(tmp_path: Path, key: str) -> None:
    """Before: the tokenizer's TypeError in the middle of a run."""
    broken = {**RECORD, key: "x \ud83d y" if key == "prompt" else ["# \ud83d"]}
    with pytest.raises(DataError, match=r"problems.jsonl:2: '\\ud83d' is half of a character"):
        load_problems(
            "jsonl", path=written(tmp_path, {**RECORD, "prompt": "whole: 😀, \\ud83d"}, {**broken, "task_id": "b"})
        )


@given(st.text(st.sampled_from("a\r\n "), max_size=12))
def test_line_ends_are_those_of_a_text_file(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "text"
    file.write_bytes(text.encode())
    assert newlines(text) == file.read_text()


def test_every_text_of_a_problem_has_plain_line_ends(tmp_path: Path) -> None:
    """Before: ``\\r`` stayed in prompts, setups, prefixes, standard input and expected output."""
    code = "import sys\r\nx = 1\rprint(x)"
    stdio = {"task_id": "b", "prompt": "p\r\nq", "setup": "", "stdio": [{"input": "1\r\n2\r3", "output": "1\r\n"}]}
    prefix = {
        **RECORD,
        "setup": "y = 1\r\n",
        "code_prefix": "def f(x):\r",
        "references": ["def f(x):\r    return x + 1"],
    }
    found = load_problems("jsonl", path=written(tmp_path, {**stdio, "references": [code]}, prefix))
    assert found[0].prompt == "p\nq" and found[0].references == ("import sys\nx = 1\nprint(x)",)
    assert (found[0].tests.cases[0][0], found[0].tests.cases[0][1]) == ("1\n2\n3", "1\n")
    assert found[1].code_prefix == "def f(x):\n" and found[1].tests.setup == "y = 1\n"


def test_a_verdicts_line_is_found_whatever_ends_the_lines_above(tmp_path: Path) -> None:
    """Before: lone ``\\r``s were not counted, so the error was put on a later line."""
    folder = tmp_path / "model"
    problems = load_problems("composed", limit=2)
    write_tiny(folder, tokenizer_texts(problems), shape=TinyShape(hidden=32, layers=1, heads=1, kv_heads=1, mlp=32))
    tokenizer = load_tokenizer(folder)
    program = "a = 1\rb = 2\r\nc = d\nprint(c)"
    problem = load_problems("jsonl", path=written(tmp_path, RECORD))[0]
    batch = as_batch([Example(problem, program)], [encode_program(tokenizer, problem, program)])
    assert [program[line.start : line.end] for line in segment(program)] == ["a = 1", "b = 2", "c = d", "print(c)"]
    with pytest.raises(NameError) as caught:
        exec(compile(program, "program", "exec"), {})
    lineno = caught.traceback[-1].lineno + 1
    assert lineno == 3 and _error_line(batch, 0, lineno) == 2


def test_prompts_beyond_the_models_context_are_one_message_at_the_start(tmp_path: Path) -> None:
    """Before: an IndexError of the position embeddings, or vLLM's own, once the engines had started."""
    folder = tmp_path / "model"
    problems = load_problems("composed", limit=2)
    shape = TinyShape(hidden=32, layers=1, heads=1, kv_heads=1, mlp=32, context=128)
    write_tiny(folder, tokenizer_texts(problems), shape=shape)
    assert context_length(folder) == 128
    config = compose(["+cluster=local", f"model.path={folder}", "model.max_prompt_tokens=100"])
    with pytest.raises(ConfigError, match=r"212 tokens together.*context of 128"):
        RunInputs(config).base  # noqa: B018
    tokenizer = load_tokenizer(folder)
    batch = as_batch(
        [Example(problems[0], problems[0].references[0] + "\nx = 1" * 60)],
        [encode_program(tokenizer, problems[0], problems[0].references[0] + "\nx = 1" * 60)],
    )
    with pytest.raises(DataError, match=f"{problems[0].task_id}: prompt and program are .* at most 128"):
        check_lengths(batch, 128)
    assert SupervisedSetup("sft", folder, EngineSettings(1e-3, dtype=torch.float32), 1, 1, 0.1, 512, 1)


def test_overlong_prompts_are_left_out_everywhere(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    problems = load_problems("composed", limit=8)
    write_tiny(folder, tokenizer_texts(problems), shape=TinyShape(hidden=32, layers=1, heads=1, kv_heads=1, mlp=32))
    inputs = RunInputs(compose(["+cluster=local", f"model.path={folder}", "model.max_prompt_tokens=8"]))
    with pytest.raises(DataError, match="every prompt has more than"):
        inputs.fitting(problems)


def test_a_hub_that_cannot_be_reached_is_told_within_seconds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before: 25 to 45 s of retries."""
    from huggingface_hub import constants

    from prl_ray import hub
    from prl_ray.errors import ModelError
    from prl_ray.models.registry import resolve_model

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    start = time.monotonic()
    assert not hub.reachable()
    with pytest.raises(DataError, match=r"cannot get google-research-datasets/mbpp .* local mbpp.jsonl"):
        load_problems("mbpp")
    with pytest.raises(ModelError, match="cannot be reached"):
        resolve_model(path="nobody/nothing-of-this-name")
    assert time.monotonic() - start < 20


def test_files_as_editors_write_them_are_read(tmp_path: Path) -> None:
    """A byte order mark, CRLF between records, blank lines; separators of lines that are none to JSON stay text."""
    record = RECORD | {"prompt": "a\u2028b\x0cc\u0085d"}
    file = tmp_path / "problems.jsonl"
    text = "\ufeff" + json.dumps(record, ensure_ascii=False) + "\r\n\r\n" + json.dumps(RECORD | {"task_id": "b"})
    file.write_bytes(text.encode())
    found = load_problems("jsonl", path=str(file))
    assert [p.task_id for p in found] == ["a", "b"] and found[0].prompt == "a\u2028b\x0cc\u0085d"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[" * 100_000, "problems.jsonl:1: not JSON"),
        (json.dumps(RECORD | {"difficulty": 0}).replace(": 0}", ": " + "9" * 5000 + "}"), "problems.jsonl:1: not JSON"),
        (json.dumps(RECORD | {"tests": ["assert f(1) == 2\0"]}), "problems.jsonl:1: a test or reference is not Python"),
        (
            json.dumps(RECORD | {"tests": ["assert " + "(" * 5000]}),
            "problems.jsonl:1: a test or reference is not Python",
        ),
        (json.dumps(RECORD | {"tests": ["assert " + "-" * 200_000 + "f(1)"]}), "problems.jsonl:1: a test or reference"),
        (json.dumps(RECORD | {"tests": []}), "problems.jsonl:1: exactly one of"),
        (json.dumps(RECORD | {"prompt": ""}), "problems.jsonl:1: 'prompt' is required"),
        ("", "no records at all"),
    ],
)
def test_each_bad_record_is_one_message_with_its_line(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "problems.jsonl").write_text(line)
    with pytest.raises(DataError, match=said):
        load_problems("jsonl", path=str(tmp_path / "problems.jsonl"))


def test_a_packed_file_that_is_damaged_is_one_message(tmp_path: Path) -> None:
    file = tmp_path / "problems.jsonl.gz"
    whole = gzip.compress(("".join(json.dumps(RECORD | {"task_id": str(i)}) + "\n" for i in range(200))).encode())
    for damaged in (whole[:-20], whole[:40] + bytes(40) + whole[80:], b"no gzip", b""):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=r"problems\.jsonl\.gz"):
            load_problems("jsonl", path=str(file))
    with pytest.raises(DataError, match="cannot read"):
        load_problems("jsonl", path=str(tmp_path))
