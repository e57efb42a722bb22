import io
import re

import pytest

from prl_ray.tracking import Console, ScoredLine
from prl_ray.tracking.progress import duration, plain_progress

METRICS = {
    "steps": 12,
    "critic/score/mean": 0.5,
    "critic/rewards/mean": -0.125,
    "actor/pg_clipfrac": 0.01,
    "actor/entropy": 0.75,
    "response_length/mean": 41.25,
    "timing_s/step": 30.0,
}


def plain():
    out = io.StringIO()
    return Console(out, terminal=False, plain_interval_s=0.0), out


def test_a_file_gets_lines_without_escape_codes():
    console, out = plain()
    console.banner("prl_ray", {"run": "runs/x", "dtype": "float32: no [avx512_bf16]"})
    with console.stage("sft", "smollm2"), console.progress("train", 20) as advance:
        for i in range(20):
            advance(1, f"loss {i}")
    text = out.getvalue()
    assert "\x1b" not in text and "\r" not in text
    lines = text.splitlines()
    assert lines[:3] == ["prl_ray", "  run    runs/x", "  dtype  float32: no [avx512_bf16]"]
    assert re.fullmatch(r"── sft ── smollm2 ─+", lines[4])
    assert re.fullmatch(r"  train  2/20 \(10%\)  0\.0 s, ETA 0\.\d s  loss 1", lines[5])
    assert len([line for line in lines if "/20" in line]) == 9, "one line a tenth, the last one is the summary"
    assert lines[-2].startswith("  train  20 in ") and lines[-1].startswith("sft done in ")


def test_a_failing_stage_says_so_and_lets_the_error_pass():
    console, out = plain()
    with pytest.raises(ValueError), console.stage("ppo"), console.progress("steps", 4) as advance:
        advance()
        raise ValueError("x")
    assert "ppo failed (ValueError) after" in out.getvalue() and "steps  1/4 in" in out.getvalue()


def test_step_lines_are_aligned_and_know_the_time_left():
    console, out = plain()
    with console.stage("ppo"):
        for step in range(1, 4):
            console.step_line({"step": step, **METRICS})
    heading, *lines = out.getvalue().splitlines()[2:6]
    assert heading.split() == ["step", "pass", "reward", "kl", "clip", "entropy", "len", "sec", "ETA"]
    assert lines[0].split() == ["1/12", "0.500", "-0.125", "-", "0.010", "0.750", "41.2", "30.0", "5:30"]
    assert {len(line) for line in lines} == {len(heading)}


def test_the_heading_comes_again():
    console, out = plain()
    for step in range(45):
        console.step_line({"step": step})
    assert out.getvalue().count("entropy") == 3


def test_a_warning_is_said_once():
    console, out = plain()
    for text in ("disk [is] full", "disk [is] full", "other"):
        console.warn(text)
    assert out.getvalue() == "warning: disk [is] full\nwarning: other\n"


def test_a_table_lines_up():
    console, out = plain()
    console.table("pass@k", ["policy", "greedy"], [["base", 0.02], ["sft", 0.5]])
    title, *rows = [line.rstrip() for line in out.getvalue().splitlines()]
    assert title == "pass@k" and rows == ["policy    greedy", "base       0.020", "sft        0.500"]


def test_a_program_shows_score_and_reward_of_each_line():
    console, out = plain()
    lines = [ScoredLine("def f(x):"), ScoredLine("    y = [\n        x]", 0.93, 0.1), ScoredLine("<end>", 0.5, -1.0)]
    console.program("composed/7", lines, "wrong_answer")
    assert out.getvalue().splitlines() == [
        "composed/7  wrong_answer",
        "  score  reward",
        "                │ def f(x):",
        "   0.93  +0.100 │     y = [",
        "                │         x]",
        "   0.50  -1.000 │ <end>",
    ]


def test_long_lines_are_not_wrapped():
    console, out = plain()
    console.note("x" * 500)
    console.program("t", [ScoredLine("y = " + "1 + " * 100 + "1", 0.5, 0.5)])
    assert len(out.getvalue().splitlines()) == 4


def test_a_locale_without_utf8_does_not_break_it():
    raw = io.BytesIO()
    console = Console(io.TextIOWrapper(raw, encoding="ascii", write_through=True), terminal=False)
    with console.stage("sft"):
        console.program("t", [ScoredLine("s = 'ü'", 0.5, 0.5)])
        console.table("ü", ["a"], [["ü"]])
    assert b"-- sft ---" in raw.getvalue() and b"| s = '?'" in raw.getvalue()


def test_a_terminal_gets_a_bar_that_makes_room_for_one_line(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    out = io.StringIO()
    console = Console(out, terminal=True)
    with console.stage("label"), console.progress("outer", 2) as outer, console.progress("inner") as inner:
        inner(3, "[note]")
        console.note("in between")
        outer()
    text = out.getvalue()
    assert "\x1b[" in text and "inner" in text and "in between" in text
    assert "outer  1/2 in" in text and "inner  3 in" in text and "[note]" in text


def test_plain_progress_is_quiet_until_there_is_something_to_say(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("prl_ray.tracking.progress.time.monotonic", lambda: now[0])
    said = []
    with plain_progress(said.append, "work", 1000, 10.0) as advance:
        for _ in range(200):  # 1/s: a tenth of it takes 100 s, so the minute speaks first
            now[0] += 1.0
            advance()
    assert [line.split("  ")[2] for line in said[:-1]] == ["60/1000 (6%)", "120/1000 (12%)", "180/1000 (18%)"]
    assert said[0] == "  work  60/1000 (6%)  1:00, ETA 15:40"
    assert said[-1] == "  work  200/1000 in 3:20, 1/s"


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (60, "1:00"), (3723.4, "1:02:03")])
def test_durations(seconds, text):
    assert duration(seconds) == text
