"""Builds and runs programs that are not Python, in a child of the zygote.

A run reports nothing: it becomes the program.
"""

# Without pathlib: its pages would be copied at every fork.
# ruff: noqa: PTH108, PTH123
from __future__ import annotations

import os
import signal
from contextlib import suppress

from . import protocol, reports
from .jail import STDIN_COPY
from .reporting import Reporter

ARTIFACT_DESCRIPTOR = 4
"""Where a run finds the artifact of its build."""


def build(channel: int, job: protocol.BuildJob) -> None:
    """Run the compiler; its complaints go to standard error."""
    _write(job.files)
    compiler = os.posix_spawn(job.command[0], job.command, os.environ)
    exit_code = os.waitstatus_to_exitcode(os.waitpid(compiler, 0)[1])
    import binascii  # a shared library that no other child needs

    built = b""
    if exit_code == 0:
        with open(job.artifact, "rb") as file:
            built = file.read()
    Reporter(channel).send(reports.Built(exit_code, binascii.b2a_base64(built).decode()))


def become(channel: int, job: protocol.NativeJob) -> None:
    """Become the program: the artifact, or a command that reads the source. Does not return."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    for descriptor in (channel, ARTIFACT_DESCRIPTOR):
        os.set_inheritable(descriptor, False)
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    copy_stdin()
    _write(job.files)
    if not job.command:
        os.execve(ARTIFACT_DESCRIPTOR, ["program", *job.arguments], environment)
    os.execve(job.command[0], [*job.command, *job.arguments], environment)


def copy_stdin() -> None:
    """Give ``/dev/stdin`` the contents of standard input; nothing where this program may not write so large a file."""
    try:
        with open(STDIN_COPY, "wb") as copy:
            size = os.fstat(0).st_size
            while copy.tell() < size:
                copy.write(os.pread(0, 1 << 20, copy.tell()))
    except OSError:
        with suppress(OSError):
            os.unlink(STDIN_COPY)


def _write(files: list[tuple[str, bytes]]) -> None:
    for name, data in files:
        with open(name, "wb") as file:
            file.write(data)
