"""A damaged checkpoint is named and passed over, a full disk is reported with its figures, foreign folders stay."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from prl_ray import compose
from prl_ray.artifacts import Artifact
from prl_ray.checkpoints import Checkpoints, damage_of
from prl_ray.errors import CheckpointError
from prl_ray.fingerprints import file_digest
from prl_ray.stages import ppo

FILES = {"actor/state.pt": b"weights" * 100, "learner.json": b"{}", "actor/empty": b""}


def save(folder: Path) -> None:
    for name, contents in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(contents)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def flip_a_bit(file: Path) -> None:
    contents = bytearray(file.read_bytes())
    contents[len(contents) // 2] ^= 1
    file.write_bytes(contents)


def two(folder: Path) -> tuple[Checkpoints, list[str]]:
    said: list[str] = []
    checkpoints = Checkpoints(folder, 3, "ppo-1", said.append)
    for step in (4, 8):
        checkpoints.write(step, {}, save)
    return checkpoints, said


@pytest.mark.parametrize("name", [*(n for n in FILES if FILES[n]), "state.json"])
@pytest.mark.parametrize("damage", [cut, flip_a_bit, Path.unlink])
def test_the_newest_undamaged_one_is_taken(name: str, damage: Callable[[Path], None], tmp_path: Path) -> None:
    checkpoints, said = two(tmp_path)
    damage(tmp_path / "step_000008" / name)
    found = checkpoints.newest()
    assert found is not None and found[0].name == "step_000004"
    assert len(said) == 1 and "step_000008" in said[0] and name in said[0]


def test_a_damaged_newer_one_does_not_displace_the_one_just_written(tmp_path: Path) -> None:
    """Before: with one kept checkpoint, the damaged newest was kept and the new one deleted."""
    checkpoints = Checkpoints(tmp_path, 1, "ppo-1", lambda said: None)
    for step in (4, 8):
        Checkpoints(tmp_path, 2, "ppo-1").write(step, {}, save)
    cut(tmp_path / "step_000008" / "actor" / "state.pt")
    checkpoints.write(6, {}, save)
    found = checkpoints.newest()
    assert found is not None and found[0].name == "step_000006"
    checkpoints.write(8, {}, save)
    assert [p.name for p in tmp_path.iterdir()] == ["step_000008"] and damage_of(tmp_path / "step_000008") == ""


def test_links_and_folders_in_the_place_of_files_are_damage(tmp_path: Path) -> None:
    checkpoints, said = two(tmp_path)
    state = tmp_path / "step_000008" / "actor" / "state.pt"
    state.unlink()
    state.symlink_to(tmp_path / "gone")
    (tmp_path / "step_000004" / "learner.json").unlink()
    (tmp_path / "step_000004" / "learner.json").mkdir()
    assert checkpoints.newest() is None and len(said) == 2


def test_a_file_that_cannot_be_read_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: the error of a bad sector ended the run, although there was an older checkpoint."""
    checkpoints, said = two(tmp_path)

    def unreadable(file: Path) -> str:
        if "step_000008" in str(file):
            raise OSError(5, "Input/output error", str(file))
        return file_digest(file)

    monkeypatch.setattr("prl_ray.checkpoints.file_digest", unreadable)
    found = checkpoints.newest()
    assert found is not None and found[0].name == "step_000004" and "Input/output error" in said[0]


def test_none_is_taken_if_all_are_damaged(tmp_path: Path) -> None:
    checkpoints, said = two(tmp_path)
    for folder in tmp_path.iterdir():
        cut(folder / "actor" / "state.pt")
    assert checkpoints.newest() is None
    assert len(said) == 2


def test_a_damaged_best_policy_does_not_count(tmp_path: Path) -> None:
    said: list[str] = []
    checkpoints = Checkpoints(tmp_path, 1, "ppo-1", said.append)
    checkpoints.write_best(4, 0.5, save)
    assert checkpoints.best_score() == 0.5 and damage_of(checkpoints.best) == "" and said == []
    flip_a_bit(tmp_path / "best" / "actor" / "state.pt")
    assert checkpoints.best_score() < 0 and "actor/state.pt" in said[0]


def test_foreign_folders_are_left_alone(tmp_path: Path) -> None:
    foreign = ["step_9", "step_000009.copy", "step_latest", "notes", ".notes.part"]
    for name in foreign:
        (tmp_path / name).mkdir()
        (tmp_path / name / "state.json").write_text("{}")
    checkpoints = Checkpoints(tmp_path, 1, "ppo-1")
    for step in (4, 8):
        checkpoints.write(step, {}, save)
    found = checkpoints.newest()
    assert found is not None and found[0].name == "step_000008"
    assert {p.name for p in tmp_path.iterdir()} == {*foreign, "step_000008"}


FULL = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from prl_ray.artifacts import Artifact
from prl_ray.checkpoints import Checkpoints
from prl_ray.errors import CheckpointError, DataError

LARGE = {
    "torch": lambda folder: torch.save(torch.zeros(3_000_000), folder / "state.pt"),
    "safetensors": lambda folder: save_file({"a": torch.zeros(3_000_000)}, folder / "model.safetensors"),
    "text": lambda folder: (folder / "rows.jsonl").write_text("x" * 12_000_000),
}

folder = Path(sys.argv[1])
checkpoints = Checkpoints(folder, 2, "ppo-1")
checkpoints.write(1, {}, lambda folder: torch.save(torch.zeros(1000), folder / "state.pt"))
for name, large in LARGE.items():
    try:
        checkpoints.write(2, {}, large)
    except CheckpointError as error:
        print(error)
    try:
        with Artifact.of(folder, "sft", seed=1).write() as place:
            large(place)
    except DataError as error:
        print(error)
print(sorted(p.name for p in folder.iterdir()))
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare, for a small disk")
def test_a_disk_that_fills_up_says_what_is_needed_and_free(tmp_path: Path) -> None:
    """On a real small file system, where each library reports the full disk as it does."""
    script = tmp_path / "full.py"
    script.write_text(FULL)
    disk = tmp_path / "disk"
    disk.mkdir()
    command = f"mount -t tmpfs -o size=4m none {disk} && exec {sys.executable} {script} {disk}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    *messages, left = done.stdout.strip().splitlines()
    assert len(messages) == 6
    for message, place in zip(messages, ["step_000002", "sft-"] * 3, strict=True):
        assert place in message and "the disk is full" in message and "MB are free" in message
    assert left == "['step_000001']"


def test_a_bug_while_saving_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 1, "ppo-1")

    def broken(folder: Path) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ") as raised:
        checkpoints.write(1, {}, broken)
    assert not isinstance(raised.value, CheckpointError)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_best_policy_is_not_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: a run that resumed behind its last step copied the damaged weights into its artifact."""
    said: list[str] = []
    checkpoints = Checkpoints(tmp_path / "checkpoints", 1, "ppo-1", said.append)

    def best(text: str) -> Callable[[Path], None]:
        def save_text(folder: Path) -> None:
            (folder / "model").mkdir()
            (folder / "model" / "config.json").write_text(text)

        return save_text

    checkpoints.write_best(4, 0.5, best("old"))
    flip_a_bit(checkpoints.best / "model" / "config.json")
    training = ppo._Training.__new__(ppo._Training)
    console = SimpleNamespace(note=said.append)
    fleet = SimpleNamespace(learners=[], scorers=[], stop=lambda actors: None)
    values = {"checkpoints": checkpoints, "config": compose(["loop.steps=8"]), "fleet": fleet}
    values |= {"made": Artifact.of(tmp_path, "ppo", seed=1), "context": SimpleNamespace(console=console)}
    values["_validate"] = lambda done: checkpoints.write_best(done, 0.4, best("new"))
    for name, value in values.items():
        monkeypatch.setattr(training, name, value, raising=False)
    training._finish()
    folder = training.made.need()
    assert (folder / "config.json").read_text() == "new" and '"step": 8' in (folder / "picked.json").read_text()
    assert any("config.json" in words for words in said)
