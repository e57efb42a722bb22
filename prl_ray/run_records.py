"""The records of a run: the files of its folder and its samples, without checkpoints and artifacts.

Where the runs are behind a URL, they are uploaded before each checkpoint, so that a machine with an empty disk goes on
with the rows of all earlier steps.
"""

from __future__ import annotations

from pathlib import Path

from prl_ray import remote

SAMPLES = "samples"


def publish_records(folder: Path) -> None:
    """Uploads changed files. Raises ``StorageError``."""
    remote.publish(folder, record_names(folder))


def fetch_records(folder: Path) -> None:
    """Downloads the records if another machine has uploaded some since. Raises ``StorageError``."""
    remote.fetch(folder, in_place=True)


def record_names(folder: Path) -> list[str]:
    """The records' paths below the run folder."""
    found = [*folder.iterdir(), *(folder / SAMPLES).glob("*")]
    files = (p for p in found if p.is_file() and not p.is_symlink() and not p.name.startswith("."))
    return sorted(p.relative_to(folder).as_posix() for p in files)
