"""Emptying a working directory: whatever tree a program leaves, and never the root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox_workers.inside import sweep


def test_everything_goes_and_nothing_outside(tmp_path: Path) -> None:
    work, outside = tmp_path / "work", tmp_path / "kept"
    outside.write_text("kept")
    (work / "a" / "b" / "c").mkdir(parents=True)
    (work / ".swept-0" / "a").mkdir(parents=True)
    (work / "a" / "b" / "file").write_text("x")
    (work / "a" / "link").symlink_to(outside)
    (work / "up").symlink_to(tmp_path)
    sweep.empty(str(work))
    assert list(work.iterdir()) == []
    assert outside.read_text() == "kept"


def test_the_root_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def never(*_: object) -> None:
        raise AssertionError("something of the root would have been removed")

    for name in ("unlink", "rename", "rmdir", "chmod"):
        monkeypatch.setattr(os, name, never)
    root = tmp_path / "root"
    root.symlink_to("/")
    for directory in ("/", "//", str(root)):
        with pytest.raises(ValueError, match="root"):
            sweep.empty(directory)
