"""``python -m prl_ray.score`` on a tiny reward model: the same scores as the scorer's, in three forms."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import torch

from prl_ray.actors.scoring import LoadedModels, ScorerSetup
from prl_ray.errors import ConfigError, DataError, ModelError
from prl_ray.examples import Example, as_batch
from prl_ray.lines import segment
from prl_ray.models.encode import encode_program
from prl_ray.models.policy import load_tokenizer
from prl_ray.problems.problem import Problem
from prl_ray.score.__main__ import main, newest_prm
from prl_ray.score.page import page
from prl_ray.score.program import ScoredProgram, SourceLine, given_part, read_program, score_files
from prl_ray.score.views import as_json, source_rows, summary, terminal_lines
from sandbox_workers import TestSuite

PROMPT = "# Add 1 to x, then double it."
PROGRAM = "def f(x):\n    x = (x +\n        1)\n\n    # double it\n    return x * 2\n"
BROKEN = "def f(x:\n    return x +* 2\n  'open\n"
KEYS = {"file", "lines", "end_score", "mean", "min", "first_error", "model"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "prog.py").write_text(PROGRAM)
    return tmp_path / "prog.py"


def by_hand() -> ScoredProgram:
    lines = (
        SourceLine(1, 0, 9, "def f(x):", 0.75, False),
        SourceLine(2, 14, 33, "x = (x +\n        1)", 0.25, False),
        SourceLine(5, 39, 50, "# double it", None, True),
        SourceLine(6, 55, 67, "return x * 2", 1.0, False),
    )
    return ScoredProgram("a<b>.py", PROGRAM.rstrip(), lines, 0.5, None, 0.5, "m")


def test_a_program_is_read_as_its_policy_would_have_written_it(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"\xef\xbb\xbfx = '\xc3\xa9'\r\ny = 2\r\n\r\n")
    assert read_program(tmp_path / "a.py") == "x = 'é'\ny = 2"
    (tmp_path / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xe9'\n")
    assert read_program(tmp_path / "latin.py").endswith("x = 'é'")
    (tmp_path / "bytes.py").write_bytes(b"x = 1\ny = 2\nz = '\xff'\n")
    for name in ("bytes.py", "nothing.py", "."):
        with pytest.raises(DataError, match=r"cannot be read|not text"):
            read_program(tmp_path / name)


def test_given_lines_are_whole_lines() -> None:
    assert given_part("a\nb\nc", 0, Path("f")) == ""
    assert given_part("a\nb\nc", 2, Path("f")) == "a\nb\n"
    assert given_part("a\nb\nc", 3, Path("f")) == "a\nb\nc"
    with pytest.raises(ConfigError, match="f has 3 lines"):
        given_part("a\nb\nc", 4, Path("f"))


def test_the_figures_by_hand() -> None:
    found = as_json(by_hand())
    assert set(found) == KEYS
    assert (found["mean"], found["min"], found["end_score"]) == (0.625, 0.25, 0.5)  # (0.75 + 0.25 + 1 + 0.5) / 4
    assert found["first_error"] == 2
    assert found["lines"][2] == {
        "line": 5,
        "start": 39,
        "end": 50,
        "text": "# double it",
        "score": None,
        "neutral": True,
    }
    assert summary(by_hand()) == "mean 0.62, min 0.25, end 0.50; line 2 is the first below 0.5"


def test_every_physical_line_is_shown_with_the_statement_that_it_belongs_to() -> None:
    rows = list(source_rows(by_hand()))
    assert [number for number, _, _ in rows] == [1, 2, 3, 4, 5, 6]
    assert [line.line if line else None for _, line, _ in rows] == [1, 2, 2, None, 5, 6]
    assert "\n".join(text for _, _, text in rows) == PROGRAM.rstrip()
    shown = [text.plain for text in terminal_lines(by_hand())]
    assert shown[2:8] == [
        "    2  0.25 │     x = (x +",
        "    3       │         1)",
        "    4       │ ",
        "    5       │     # double it",
        "    6  1.00 │     return x * 2",
        "       0.50 │ <end>",
    ]
    styles = [{str(span.style) for span in text.spans} for text in terminal_lines(by_hand())]
    assert styles[2] == {"dim", "red"} and styles[5] == {"dim"} and styles[6] == {"dim", "green"}


def test_control_characters_do_not_reach_the_terminal() -> None:
    line = SourceLine(1, 0, 9, "x = '\x1b[2J'", 0.5, False)
    program = ScoredProgram("a.py", "x = '\x1b[2J'", (line,), 0.5, None, 0.5, "m")
    assert "\x1b" not in "".join(text.plain for text in terminal_lines(program))


def test_the_page_is_whole_and_takes_code_literally() -> None:
    text = page([by_hand()], "Is 1 < 2 & 3?")
    body = text[text.index("<body>") : text.index("</html>")]
    rows = ET.fromstring(body).findall(".//tr")
    assert ["".join(row.itertext()) for row in rows][1:3] == ["20.25    x = (x +", "3        1)"]
    assert [row.get("class") for row in rows] == [None, None, None, "neutral", "neutral", None, None]
    assert "hsl(30 " in str(rows[1].get("style")) and "hsl(120 " in str(rows[5].get("style"))
    assert "Is 1 &lt; 2 &amp; 3?" in text and "a&lt;b&gt;.py" in text
    assert "http" not in text and "<script" not in text


def test_scores_are_those_of_the_scorer(file: Path, runs: Path) -> None:
    (found,) = score_files([file], PROMPT, prm=runs / "demo" / "prm", orm=runs / "demo" / "orm")
    program = PROGRAM.rstrip()
    problem = Problem("t/1", PROMPT, "f", TestSuite(), (), "test")
    tokenizer = load_tokenizer(runs / "demo" / "prm")
    example = Example(problem, program)
    batch = as_batch([example], [encode_program(tokenizer, problem, program)])
    setup = ScorerSetup(runs / "demo" / "prm", runs / "demo" / "orm", None, False, torch.float32, 512)
    expected = LoadedModels(setup).score(batch)
    counted = expected.line_scores[~batch.line_neutral]
    np.testing.assert_allclose(found.counted, counted, atol=1e-6)
    assert found.orm_score == pytest.approx(float(expected.orm_scores[0]), abs=1e-6)
    assert len(set(np.round(counted, 3))) == len(counted), "the lines differ, so a mix-up would show"
    assert [line.text for line in found.lines] == [program[s.start : s.end] for s in segment(program)]
    assert [line.score is None for line in found.lines] == [False, False, True, False]


def test_what_is_given_is_read_as_prompt_and_not_judged(file: Path, runs: Path) -> None:
    (whole,) = score_files([file], PROMPT, prm=runs / "demo" / "prm")
    (rest,) = score_files([file], PROMPT, prm=runs / "demo" / "prm", given_lines=1)
    assert rest.lines[0].score is None and not rest.lines[0].neutral
    # the model reads the same text either way
    assert [line.score for line in rest.lines[1:]] == pytest.approx([line.score for line in whole.lines[1:]], abs=0.05)


def test_files_do_not_see_each_other_and_broken_code_has_physical_lines(tmp_path: Path, runs: Path) -> None:
    names = {"good.py": PROGRAM, "broken.py": BROKEN, "empty.py": ""}
    for name, text in names.items():
        (tmp_path / name).write_text(text)
    files = [tmp_path / name for name in names]
    together = score_files(files, PROMPT, prm=runs / "demo" / "prm")
    for one, file in zip(together, files, strict=True):
        (alone,) = score_files([file], PROMPT, prm=runs / "demo" / "prm")
        assert one.counted.tolist() == pytest.approx(alone.counted.tolist(), abs=1e-5)
    assert [(line.line, line.text) for line in together[1].lines] == [
        (1, "def f(x:"),
        (2, "return x +* 2"),
        (3, "'open"),
    ]
    assert together[2].lines == () and together[2].mean == together[2].min == together[2].end_score


def test_a_program_longer_than_the_model_reads_is_named(tmp_path: Path, runs: Path) -> None:
    (tmp_path / "long.py").write_text("x = x + 1\n" * 100)
    with pytest.raises(DataError, match=r"long\.py .* tokens; the model reads at most 128"):
        score_files([tmp_path / "long.py"], PROMPT, prm=runs / "demo" / "prm")


def test_the_newest_run_gives_the_model(tmp_path: Path, runs: Path) -> None:
    for age, name in enumerate(("new", "old", "without")):
        (tmp_path / name).mkdir()
        if name != "without":
            (tmp_path / name / "prm").symlink_to(runs / "demo" / "prm")
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    assert newest_prm(tmp_path) == tmp_path / "new" / "prm"
    with pytest.raises(ModelError, match="--prm FOLDER"):
        newest_prm(tmp_path / "without")


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "prl_ray.score", *arguments],
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "COLUMNS")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_command_from_end_to_end(file: Path, runs: Path) -> None:
    (file.parent / "problem.txt").write_text(PROMPT)
    done = command(
        file.name, "--problem-file", "problem.txt", "--runs", str(runs), "--html", "out.html", cwd=file.parent
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows = done.stdout.splitlines()
    assert rows[0] == "prog.py" and rows[-1] == f"model: {runs / 'demo' / 'prm'}"
    assert [row.split(" │ ", 1)[1] for row in rows[1:8]] == [*PROGRAM.rstrip().split("\n"), "<end>"]
    assert "\x1b" not in done.stdout
    assert "return x * 2" in (file.parent / "out.html").read_text()


def test_json_is_an_object_a_file(file: Path, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file.parent / "broken.py").write_text(BROKEN)
    files = [str(file), str(file.parent / "broken.py")]
    models = ["--prm", str(runs / "demo" / "prm"), "--orm", str(runs / "demo" / "orm")]
    assert main([*files, "--problem", PROMPT, *models, "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["file"] for one in found] == files
    for one in found:
        assert set(one) == {*KEYS, "orm_score"}
        scores = [line["score"] for line in one["lines"] if line["score"] is not None]
        assert one["min"] == min(*scores, one["end_score"])
        assert one["mean"] == pytest.approx(sum([*scores, one["end_score"]]) / (len(scores) + 1), abs=1e-5)
        low = [line["line"] for line in one["lines"] if line["score"] is not None and line["score"] < 0.5]
        assert one["first_error"] == (low[0] if low else None)
        assert one["model"] == models[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["prog.py"], "--problem"),
        (["prog.py", "--problem", " "], "problem is empty"),
        (["prog.py", "--problem", "x"], "no run in runs/ has a process reward model"),
        (["prog.py", "--problem", "x", "--prm", "nowhere"], "nowhere holds no readable config.json"),
        (["prog.py", "--problem", "x", "--prm", "ORM"], "kind orm; a prm is needed"),
        (["nothing.py", "--problem", "x", "--prm", "PRM"], "nothing.py cannot be read"),
        (["prog.py", "--problem-file", "nothing.txt"], "nothing.txt"),
        (["prog.py", "--problem", "x", "--prm", "PRM", "--given-lines", "99"], "has 6 lines"),
        (["prog.py", "--problem", "x", "--theta", "2"], "not between 0 and 1"),
        (["prog.py", "--problem", "x", "--given-lines", "-1"], "number of lines"),
    ],
)
def test_wrong_use_is_one_message_and_exit_code_2(
    arguments: list[str],
    said: str,
    file: Path,
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(file.parent)
    places = {"PRM": str(runs / "demo" / "prm"), "ORM": str(runs / "demo" / "orm")}
    try:
        code = main([places.get(word, word) for word in arguments])
    except SystemExit as end:  # argparse's own way out
        code = int(str(end.code))
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert said in err and "error: " in err.splitlines()[-1]


def test_a_model_of_blocks_scores_blocks(runs: Path, tmp_path: Path) -> None:
    prm = shutil.copytree(runs / "demo" / "prm", tmp_path / "prm")
    config = json.loads((prm / "config.json").read_text())
    (prm / "config.json").write_text(json.dumps(config | {"prl_unit": "block"}))
    (tmp_path / "prog.py").write_text("def f(x):\n    x = x + 1\n    if x > 3:\n        x = x * 2\n    return x\n")
    (found,) = score_files([tmp_path / "prog.py"], PROMPT, prm=prm)
    (lines,) = score_files([tmp_path / "prog.py"], PROMPT, prm=runs / "demo" / "prm")
    assert [(block.line, block.text.count("\n") + 1) for block in found.lines] == [(1, 2), (3, 2), (5, 1)]
    assert [block.score for block in found.lines] == pytest.approx([lines.lines[i].score for i in (1, 3, 4)], abs=1e-5)
    assert found.end_score == pytest.approx(lines.end_score, abs=1e-5)
