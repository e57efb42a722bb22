"""Checkpoints: whole or not there, the newest found again, the best kept."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from prl_ray.checkpoints import Checkpoints
from prl_ray.errors import CheckpointError


def writes(text: str) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        (folder / "weights").write_text(text)

    return save


def fails(error: BaseException) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        (folder / "weights").write_text("half")
        raise error

    return save


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_the_newest_is_found_and_old_ones_go(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 2, "ppo-1")
    assert checkpoints.newest() is None
    for step in (2, 9, 10, 11):
        checkpoints.write(step, {"wandb_id": f"w{step}"}, writes(str(step)))
    assert names(tmp_path) == ["step_000010", "step_000011"]
    found = Checkpoints(tmp_path, 2, "ppo-1").newest()
    assert found is not None
    folder, state = found
    assert (folder / "weights").read_text() == "11"
    assert {k: state[k] for k in ("step", "wandb_id", "fingerprint")} == {
        "step": 11,
        "wandb_id": "w11",
        "fingerprint": "ppo-1",
    }


def test_another_runs_checkpoint_is_refused(tmp_path: Path) -> None:
    Checkpoints(tmp_path, 2, "ppo-1").write(1, {}, writes("1"))
    with pytest.raises(CheckpointError, match="other settings"):
        Checkpoints(tmp_path, 2, "ppo-2").newest()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("learner died")])
def test_a_save_that_breaks_off_leaves_the_one_before(tmp_path: Path, error: BaseException) -> None:
    checkpoints = Checkpoints(tmp_path, 2, "ppo-1")
    checkpoints.write(1, {}, writes("1"))
    with pytest.raises(type(error)):
        checkpoints.write(2, {}, fails(error))
    again = Checkpoints(tmp_path, 2, "ppo-1")
    assert names(tmp_path) == ["step_000001"]
    found = again.newest()
    assert found is not None and found[1]["step"] == 1


def test_a_full_disk_is_named_and_earlier_ones_stay_whole(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 2, "ppo-1")
    checkpoints.write(1, {}, writes("1"))
    with pytest.raises(CheckpointError, match="disk"):
        checkpoints.write(2, {}, fails(OSError(errno.ENOSPC, "No space left on device")))
    assert names(tmp_path) == ["step_000001"]


def test_the_same_step_may_be_written_again(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 2, "ppo-1")
    checkpoints.write(1, {}, writes("first"))
    folder = checkpoints.write(1, {}, writes("second"))
    assert (folder / "weights").read_text() == "second"
    assert names(tmp_path) == ["step_000001"]


def test_the_best_is_kept_in_addition_to_the_last_ones(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 1, "ppo-1")
    assert checkpoints.best_score() < 0
    checkpoints.write_best(0, 0.0, writes("start"))
    assert checkpoints.best_score() == 0.0
    checkpoints.write_best(4, 0.5, writes("best"))
    for step in (4, 8):
        checkpoints.write(step, {}, writes(str(step)))
    assert names(tmp_path) == ["best", "step_000008"]
    again = Checkpoints(tmp_path, 1, "ppo-1")
    assert again.best_score() == 0.5
    assert (again.best / "weights").read_text() == "best"


def test_the_best_of_other_settings_does_not_count(tmp_path: Path) -> None:
    Checkpoints(tmp_path, 1, "ppo-1").write_best(4, 0.9, writes("other"))
    assert Checkpoints(tmp_path, 1, "ppo-2").best_score() < 0


def test_a_kill_between_the_two_renames_loses_no_best(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 1, "ppo-1")
    checkpoints.write_best(4, 0.5, writes("best"))
    # What the disk holds at that moment: the old one set aside, the new one whole but not renamed yet.
    (tmp_path / "best").rename(tmp_path / ".best.old.part")
    (tmp_path / ".best.part").mkdir()
    again = Checkpoints(tmp_path, 1, "ppo-1")
    assert again.best_score() == 0.5
    assert names(tmp_path) == ["best"]
