"""Capabilities of this host, and a self-test of them."""

from __future__ import annotations

import os
import platform
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import attacks, isolation
from .errors import SandboxUnavailable
from .inside import syscalls
from .inside.syscall_numbers import MACHINE
from .languages import LANGUAGES
from .sandbox import Sandbox
from .suite import TestSuite

QUICK_CATEGORIES = ("escape", "files", "network")
_IMPORTS = "import colorsys\ndef f():\n    return True\n"
"""Imports a module that no zygote has imported."""


class Finding(NamedTuple):
    """One thing looked at."""

    name: str
    good: bool
    detail: str


def examine(full_self_test: bool = False) -> Iterator[Finding]:
    """Look at the host, then try every level of isolation with attacks: the quick ones, or all."""
    yield Finding("processor", platform.machine() == MACHINE, f"{platform.machine()}; filters are for {MACHINE}")
    yield Finding("user", True, f"uid {os.geteuid()}: " + _identity())
    yield _landlock()
    yield _user_namespaces()
    for language in LANGUAGES.values():
        missing = language.missing()
        yield Finding(
            f"language {language.name}", not missing, f"missing: {', '.join(missing)}" if missing else "ready"
        )
    runsc = shutil.which("runsc")
    yield Finding("gVisor", runsc is not None, runsc or "no runsc on this host")
    for level in isolation.LEVELS:
        yield _level(level, full_self_test)


def _identity() -> str:
    return (
        "each program has a user id of its own" if os.geteuid() == 0 else "programs share this user id in a namespace"
    )


def _landlock() -> Finding:
    try:
        return Finding("Landlock", True, f"ABI {syscalls.landlock_abi()}")
    except OSError as error:
        return Finding("Landlock", False, str(error))


def _user_namespaces() -> Finding:
    limit = Path("/proc/sys/user/max_user_namespaces")
    allowed = int(limit.read_text()) if limit.exists() else 0
    return Finding("user namespaces", allowed > 0, f"up to {allowed}" if allowed else "not allowed; needed unless root")


def _level(level: str, every: bool) -> Finding:
    """Start a sandbox of this level, import something there and run attacks."""
    try:
        with Sandbox(level) as sandbox:
            imports = sandbox.run(_IMPORTS, TestSuite(tests=("assert f()",)))
            chosen = (lambda _: True) if every else (lambda attack: attack.category in QUICK_CATEGORIES)
            results = list(attacks.run_all(sandbox, chosen))
    except SandboxUnavailable as error:
        return Finding(f"isolation {level}", False, str(error))
    broken = [f"{result.attack.name} ({result.problem})" for result in results if result.problem]
    detail = f"{isolation.LEVELS[level]}; {len(results) - len(broken)} of {len(results)} attacks held"
    detail += f"; not held: {'; '.join(broken)}" if broken else ""
    if not imports.ok:
        library = sysconfig.get_paths()["stdlib"]
        detail += f"; programs cannot import from {library} ({imports.message}): may other users enter its folder?"
    return Finding(f"isolation {level}", imports.ok and not broken, detail)
