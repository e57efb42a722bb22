"""Builds and runs programs that are not Python, in a child of the zygote.

Message of a build: ``["built", exit code, artifact in base64 or ""]``. A run says nothing: it becomes the program.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
from pathlib import Path

from .runner import Reporter

ARTIFACT_DESCRIPTOR = 4
"""Where a run finds the artifact of its build."""


def build(channel: int, source_name: str, source: bytes, command: list[str], artifact: str) -> None:
    """Run the compiler; its complaints go to standard error."""
    Path(source_name).write_bytes(source)
    exit_code = subprocess.run(command, check=False).returncode
    built = Path(artifact).read_bytes() if exit_code == 0 else b""
    Reporter(channel).send(["built", exit_code, base64.b64encode(built).decode()])


def become(channel: int, source_name: str, source: bytes, command: list[str]) -> None:
    """Become the program: the artifact, or a command that reads the source. Does not return."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    for descriptor in (channel, ARTIFACT_DESCRIPTOR):
        os.set_inheritable(descriptor, False)
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    if not command:
        os.execve(ARTIFACT_DESCRIPTOR, ["program"], environment)
    Path(source_name).write_bytes(source)
    os.execve(command[0], command, environment)
