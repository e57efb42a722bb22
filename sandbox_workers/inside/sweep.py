"""Empties the working directory after a program, however hostile the tree that it left behind."""

# Plain path strings: this runs once a program, and path objects would cost as much as the rest.
# ruff: noqa: PTH101, PTH104, PTH106, PTH108, PTH119, PTH121, PTH208
from __future__ import annotations

import os
from itertools import count


def empty(directory: str, kept: frozenset[str] = frozenset()) -> None:
    """Remove everything in ``directory`` but entries with one of the ``kept`` names.

    Never walks down: each subdirectory's own subdirectories are first moved up to the top, so that depth costs nothing.

    Raises:
        ValueError: it is the root, which is never intended.
    """
    if kept.issuperset(os.listdir(directory)):  # as after nearly every program
        return
    if os.path.samefile(directory, "/"):
        raise ValueError("the root directory is not a working directory: it would be emptied")
    numbers = count()
    while entries := [entry for entry in _entries(directory) if os.path.basename(entry[0]) not in kept]:
        for path, is_directory in entries:
            if not is_directory:
                os.unlink(path)
                continue
            os.chmod(path, 0o700)
            for inner, inner_is_directory in _entries(path):
                if inner_is_directory:
                    os.rename(inner, _free_name(directory, numbers))
                else:
                    os.unlink(inner)
            os.rmdir(path)


def _entries(directory: str) -> list[tuple[str, bool]]:
    with os.scandir(directory) as found:
        return [(entry.path, entry.is_dir(follow_symlinks=False)) for entry in found]


def _free_name(directory: str, numbers: count[int]) -> str:
    while os.path.lexists(path := f"{directory}/.swept-{next(numbers)}"):
        pass
    return path
