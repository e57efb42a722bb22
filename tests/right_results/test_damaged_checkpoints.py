"""A damaged checkpoint is named and passed over, a full disk is reported with its figures, foreign folders stay."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prl_ray.checkpoints import Checkpoints, damage_of
from prl_ray.errors import CheckpointError

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
    if not (name == "state.json" and damage is Path.unlink):  # without it the folder is no checkpoint at all
        assert len(said) == 1 and "step_000008" in said[0] and name in said[0]


def test_none_is_taken_if_all_are_damaged(tmp_path: Path) -> None:
    checkpoints, said = two(tmp_path)
    for folder in tmp_path.iterdir():
        cut(folder / "actor" / "state.pt")
    assert checkpoints.newest() is None
    assert len(said) == 2


def test_a_damaged_best_policy_does_not_count(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 1, "ppo-1")
    checkpoints.write_best(4, 0.5, save)
    assert checkpoints.best_score() == 0.5 and damage_of(checkpoints.best) == ""
    flip_a_bit(tmp_path / "best" / "actor" / "state.pt")
    assert checkpoints.best_score() < 0


def test_foreign_folders_are_left_alone(tmp_path: Path) -> None:
    foreign = ["step_9", "step_000009.copy", "step_latest", "notes"]
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
from prl_ray.checkpoints import Checkpoints
from prl_ray.errors import CheckpointError

def small(folder):
    torch.save(torch.zeros(1000), folder / "state.pt")

def large(folder):
    torch.save(torch.zeros(3_000_000), folder / "state.pt")

folder = Path(sys.argv[1])
checkpoints = Checkpoints(folder, 2, "ppo-1")
checkpoints.write(1, {}, small)
try:
    checkpoints.write(2, {}, large)
except CheckpointError as error:
    print(error)
print(sorted(p.name for p in folder.iterdir()))
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare, for a small disk")
def test_a_disk_that_fills_up_says_what_is_needed_and_free(tmp_path: Path) -> None:
    """On a real small file system, where torch reports the full disk as it does."""
    script = tmp_path / "full.py"
    script.write_text(FULL)
    disk = tmp_path / "disk"
    disk.mkdir()
    command = f"mount -t tmpfs -o size=4m none {disk} && exec {sys.executable} {script} {disk}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    message, left = done.stdout.strip().splitlines()[-2:]
    assert "step_000002" in message and "the disk is full" in message and "MB are free" in message
    assert left == "['step_000001']"


def test_a_bug_while_saving_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 1, "ppo-1")

    def broken(folder: Path) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ") as raised:
        checkpoints.write(1, {}, broken)
    assert not isinstance(raised.value, CheckpointError)
    assert list(tmp_path.iterdir()) == []
