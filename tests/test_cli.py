"""The commands end with one message and a meaningful exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prl_ray import cli, scale
from prl_ray.errors import ConfigError, DataError, ModelError


def failing(error: BaseException) -> Callable[[list[str]], None]:
    def main(arguments: list[str]) -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("config: no"), 2, "error: config: no"),
        (DataError("bad line 3"), 1, "error: DataError: bad line 3"),
        (ModelError("no such model"), 1, "error: ModelError: no such model"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (FileNotFoundError(2, "No such file or directory", "mine.jsonl"), 1, "mine.jsonl"),
    ],
)
def test_an_error_a_user_can_act_on_is_one_message(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.run("prl_ray.train", "", failing(error), [])
    assert end.value.code == code
    out, err = capsys.readouterr()
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not out


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        cli.run("prl_ray.train", "", failing(ZeroDivisionError()), [])
    with pytest.raises(OSError, match="odd"):
        cli.run("prl_ray.train", "", failing(OSError("odd")), [])


def test_main_gets_the_words_of_the_command_line() -> None:
    got: list[str] = []
    cli.run("prl_ray.train", "", got.extend, ["reward=outcome", "+cluster=local"])
    assert got == ["reward=outcome", "+cluster=local"]


@pytest.mark.parametrize(
    "arguments", [[], ["run=x"], ["verifiers=3"], ["run=x", "verifiers=0"], ["run=x", "verifiers=3", "y=1"]]
)
def test_scale_explains_itself(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match="run=NAME verifiers=N"):
        scale.main(arguments)


def command(module: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if not k.startswith("RAY_")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("module", ["prl_ray.train", "prl_ray.evaluate"])
def test_a_typo_ends_the_command_before_anything_starts(module: str, tmp_path: Path) -> None:
    done = command(module, "+typo=3", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.strip().startswith("error: config: there is no key 'typo'; the nearest is '")
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["prl_ray.train", "prl_ray.evaluate", "prl_ray.scale", "prl_ray.score"])
def test_help_explains_itself(module: str, tmp_path: Path) -> None:
    done = command(module, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert f"python -m {module}" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
