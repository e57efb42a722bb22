"""The commands end with one message and a meaningful exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from prl_ray import cli, compose, scale
from prl_ray.child_commands import ChildCommands
from prl_ray.config import validate
from prl_ray.errors import ConfigError, DataError, ModelError, PrlRayError
from prl_ray.sweep import named_runs, sweep


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


@pytest.mark.parametrize(
    "words", [["run=a"], ["verifiers=2"], ["run=a", "verifiers=0"], ["run=a", "learners=2"], ["run=a", "generators=x"]]
)
def test_a_wrong_use_of_scale_says_how_it_is_used(words: list[str], tmp_path: Path) -> None:
    done = command("prl_ray.scale", *words, cwd=tmp_path)
    assert done.returncode == 2 and "run=NAME verifiers=N|generators=N" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_of_the_help_may_leave(tmp_path: Path) -> None:
    """As in ``prl-ray-train --help | head -1``."""
    ours, theirs = os.pipe()
    os.close(ours)
    words = [sys.executable, "-m", "prl_ray.train", "--help"]
    with os.fdopen(theirs, "wb") as closed:
        done = subprocess.run(words, stdout=closed, stderr=subprocess.PIPE, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_composed_config_is_printed_as_hydra_prints_it(tmp_path: Path) -> None:
    done = command("prl_ray.train", "--cfg", "job", "cluster=local", "reward=outcome", "loop.steps=7", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = OmegaConf.create(done.stdout)
    assert printed.loop.steps == 7 and printed.reward.name == "outcome"
    assert validate(printed) == compose(["cluster=local", "reward=outcome", "loop.steps=7"])
    part = command("prl_ray.evaluate", "--cfg", "job", "--resolve", "--package", "evaluate", cwd=tmp_path)
    assert OmegaConf.create(part.stdout).policies == ["base"]
    assert list(tmp_path.iterdir()) == []


def test_a_config_folder_of_the_users_own_adds_options(tmp_path: Path) -> None:
    (tmp_path / "mine" / "reward").mkdir(parents=True)
    (tmp_path / "mine" / "reward" / "gentle.yaml").write_text("name: process_mean\nalpha: 0.125\n")
    words = ["--config-dir", "mine", "--cfg", "job", "algorithm=ppo", "reward=gentle"]
    assert OmegaConf.create(command("prl_ray.train", *words, cwd=tmp_path).stdout).reward.alpha == 0.125
    missing = command("prl_ray.train", "--config-dir", "nowhere", cwd=tmp_path)
    assert missing.returncode == 2 and "nowhere" in missing.stderr


def test_a_flag_that_does_not_exist_is_named(tmp_path: Path) -> None:
    done = command("prl_ray.train", "--resume", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip() == "error: config: '--resume' is not a flag of this command (--help lists all)"


def test_shell_completion_knows_groups_and_their_options(tmp_path: Path) -> None:
    def completed(line: str) -> set[str]:
        script = Path(sys.executable).with_name("prl-ray-train")
        environment = os.environ | {"COMP_LINE": line, "COMP_POINT": str(len(line))}
        done = subprocess.run(
            [script, "-sc", "query=bash"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return set(done.stdout.split())

    assert {"reward=outcome", "reward=process"} <= completed("prl-ray-train reward=")
    assert "loop.steps=" in completed("prl-ray-train loop.st")
    assert "complete" in command("prl_ray.train", "-sc", "install=bash", cwd=tmp_path).stdout


def test_explain_says_why_a_stage_would_run(tmp_path: Path) -> None:
    done = command("prl_ray.train", "--explain", "model=tiny", "tracking=off", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    stages = [line.split()[0] for line in done.stdout.splitlines()]
    assert stages == ["label", "sft", "prm", "ppo", "evaluate", "evaluate", "evaluate"]
    assert all("there is no artifact" in line for line in done.stdout.splitlines())


def test_a_sweep_names_its_runs_apart() -> None:
    runs = named_runs(["seed=1,2", "reward=outcome,process", "model=tiny"])
    assert [r[:-1] for r in runs] == [
        ["seed=1", "reward=outcome", "model=tiny"],
        ["seed=1", "reward=process", "model=tiny"],
        ["seed=2", "reward=outcome", "model=tiny"],
        ["seed=2", "reward=process", "model=tiny"],
    ]
    assert [r[-1] for r in runs] == [
        f"name=tiny-composed-{reward}-seed-{seed}" for seed in (1, 2) for reward in ("gate", "process")
    ]
    assert [r[-1] for r in named_runs(["loop.steps=range(2,4)", "name=x"])] == ["name=x-steps-2", "name=x-steps-3"]


def test_a_sweep_is_validated_as_a_whole_before_it_starts(tmp_path: Path) -> None:
    done = command("prl_ray.train", "-m", "seed=1,2", "loop.steps=3,-3", cwd=tmp_path)
    assert done.returncode == 2 and "loop.steps=-3" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_runs_each_combination_and_stops_at_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    def run(_: ChildCommands, module: str, arguments: Sequence[str]) -> int:
        assert module == "prl_ray.train"
        started.append(list(arguments))
        return 1 if "seed=2" in arguments else 0

    monkeypatch.setattr(ChildCommands, "run", run)
    with pytest.raises(PrlRayError, match="run 2 of 3 failed with exit code 1"):
        sweep("prl_ray.train", ["seed=1,2,3"])
    assert [words[0] for words in started] == ["seed=1", "seed=2"]


def test_python_composes_and_runs_as_the_commands_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import prl_ray
    from prl_ray import recipe

    config = prl_ray.compose(["model=tiny", "reward=outcome"])
    assert config == compose(["model=tiny", "reward=outcome"])
    monkeypatch.setattr(recipe, "run_recipe", lambda config, console: {"ran": config.run_name})
    assert prl_ray.run(config) == {"ran": "tiny-composed-gate"}
