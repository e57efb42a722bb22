"""The extension is built by one process at a time, and what a killed one left does not stop the next."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

from prl_ray.actors.extension import load_alone


class Builder:
    """Compiles as torch does: waits while there is a lock file, then holds one."""

    name = "some_extension"

    def __init__(self, root: Path, seconds: float = 0.0) -> None:
        self.lock, self.seconds = root / "py311_cpu" / self.name / "lock", seconds
        self.log = root / "log"

    def load(self) -> None:
        assert not self.lock.exists(), "torch would wait for this"
        self.lock.parent.mkdir(parents=True, exist_ok=True)
        self.lock.touch()
        with self.log.open("a") as log:
            log.write("begin\n")
            log.flush()
            time.sleep(self.seconds)
            log.write("end\n")
        self.lock.unlink()


def start(*arguments: Any) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=load_alone, args=arguments)
    process.start()
    return process


def test_two_at_once_build_one_after_the_other(tmp_path: Path) -> None:
    both = [start(Builder(tmp_path, 0.2), tmp_path) for _ in range(2)]
    for process in both:
        process.join(20)
    assert [process.exitcode for process in both] == [0, 0]
    assert (tmp_path / "log").read_text().split() == ["begin", "end"] * 2


def test_a_killed_build_does_not_stop_the_next(tmp_path: Path) -> None:
    builder = Builder(tmp_path, 60)
    killed = start(builder, tmp_path)
    while not builder.log.exists() or not builder.log.read_text():
        time.sleep(0.01)
    assert killed.pid is not None
    os.kill(killed.pid, signal.SIGKILL)
    killed.join(20)
    assert builder.lock.exists()
    load_alone(Builder(tmp_path), tmp_path)
    assert (tmp_path / "log").read_text().split() == ["begin", "begin", "end"]
