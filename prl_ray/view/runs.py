"""The runs in the given folders. Pages open files only through this module, or by paths that it has checked."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prl_ray.errors import DataError
from prl_ray.view.files import inside
from prl_ray.view.history import History

MARKS = ("config.yaml", "metrics.jsonl", "evaluation.json")
"""Files that identify a run folder."""
ARTIFACTS = "artifacts"
EXPERIMENT = "result.json"


@dataclass(frozen=True)
class Run:
    """One run folder."""

    name: str
    """Unique among the runs shown; the address of its pages."""
    folder: Path
    """Resolved."""
    roots: tuple[Path, ...]
    """Folders in which its files may be: its own, and the artifacts that it links to."""
    history: History

    def file(self, *parts: str) -> Path | None:
        """A file or folder of the run, by a name from this program; None if it does not exist.

        Raises:
            DataError: it is a link to a place outside the folders.
        """
        path = self.folder.joinpath(*parts)
        return inside(path, self.roots) if path.exists() else None


class Runs:
    """All runs of the given folders, searched at each request, so that new ones appear.

    Args:
        folders: Run folders, or folders of runs.

    Raises:
        DataError: one of them does not exist.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = [Path(folder).resolve() for folder in folders]
        for folder in self.folders:
            if not folder.is_dir():
                raise DataError(f"there is no folder {folder}")
        self._known: dict[Path, Run] = {}
        self._lock = threading.Lock()

    def all(self) -> list[Run]:
        """The runs, newest first."""
        with self._lock:
            return self._all()

    def _all(self) -> list[Run]:
        found: dict[Path, Path] = {}
        for folder in self.folders:
            candidates = [folder] if _is_run(folder) else [child for child in folder.iterdir() if child.is_dir()]
            for candidate in candidates:
                real = candidate.resolve()
                if _is_run(candidate) and (real == candidate or real.is_relative_to(folder)):
                    found.setdefault(real, folder)
        for gone in self._known.keys() - found.keys():
            del self._known[gone]
        for place in sorted(found):
            if place not in self._known:
                self._known[place] = self._run(place)
        return sorted(self._known.values(), key=lambda run: run.history.newest, reverse=True)

    def named(self, name: str) -> Run:
        """One run. Raises ``DataError`` if no run has this name."""
        with self._lock:
            known = list(self._known.values())
        found = next((run for run in known if run.name == name), None)
        if found is not None and found.folder.is_dir():
            return found
        for run in self.all():
            if run.name == name:
                return run
        raise DataError(f"there is no run {name!r} in the given folders")

    def experiments(self) -> list[Path]:
        """``result.json`` of the experiments in the given folders."""
        return sorted(
            path.resolve()
            for folder in self.folders
            for path in folder.glob(f"experiment-*/{EXPERIMENT}")
            if path.resolve().is_relative_to(folder)
        )

    def _run(self, place: Path) -> Run:
        taken = {run.name for run in self._known.values()}
        readable = place.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        name, count = readable, 1
        while name in taken:
            count += 1
            name = f"{readable}~{count}"
        roots = (place, place.parent / ARTIFACTS)
        return Run(name, place, roots, History(place, roots))


def _is_run(folder: Path) -> bool:
    return any((folder / mark).is_file() for mark in MARKS)
