"""gVisor: the zygote inside ``runsc``, an application kernel of its own, so that programs never ask the host's kernel.

An OCI bundle is made of an empty root with read-only binds of the paths that programs may read, and no network. The
zygote's control socket is its standard input; children's descriptors travel through it as ever.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from .errors import SandboxUnavailable
from .inside.jail import JailConfig

CONTROL = 0
"""Descriptor of the control socket inside: ``runsc`` hands on the first three only."""
WORK = "/tmp"
"""Working directory inside; the zygote mounts it, over whatever it was itself read from."""
_CAPABILITIES = [
    f"CAP_{name}" for name in ("SYS_ADMIN", "SETUID", "SETGID", "SETPCAP", "KILL", "DAC_OVERRIDE", "FOWNER")
]
_NAMESPACES = ("pid", "network", "ipc", "uts", "mount")
_SYSTEM = ("/proc", "/sys", "/dev", WORK)


def require() -> str:
    """Path of ``runsc``.

    Raises:
        SandboxUnavailable: it is not installed, or we are not root, which a bundle needs.
    """
    runsc = shutil.which("runsc")
    if runsc is None:
        raise SandboxUnavailable("isolation 'gvisor' needs the command runsc, which is not on this host's PATH")
    if os.geteuid() != 0:
        raise SandboxUnavailable("isolation 'gvisor' needs root, which runsc asks for to make a container")
    return runsc


def command(
    runsc: str, bundle: str, arguments: Sequence[str], environment: dict[str, str], jail: JailConfig
) -> list[str]:
    """Write a bundle into the empty directory ``bundle``; the command that runs ``arguments`` in it."""
    root = Path(bundle) / "root"
    for path in _SYSTEM:
        (root / path[1:]).mkdir(parents=True)
    binds = [bind for path in _outermost(jail["readable"]) for bind in _bind(path, root)]
    process = {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": list(arguments),
        "env": [f"{name}={value}" for name, value in environment.items()],
        "cwd": "/",
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), _CAPABILITIES),
        "noNewPrivileges": True,
    }
    spec = {
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": "root", "readonly": True},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, *binds],
        "linux": {"namespaces": [{"type": kind} for kind in _NAMESPACES]},
    }
    for directory, _, _ in os.walk(root):
        Path(directory).chmod(0o711)  # to pass through, not to list: programs do not see which paths were bound
    (Path(bundle) / "config.json").write_text(json.dumps(spec))
    options = [f"--root={bundle}/state", "--network=none", "--ignore-cgroups"]
    return [runsc, *options, "run", f"--bundle={bundle}", Path(bundle).name]


def family(pid: int) -> list[int]:
    """``runsc`` itself, its kernel and its file server: the processes that are one zygote to the host."""
    found = [pid]
    for parent in found:  # grows while we walk
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


def _outermost(paths: Sequence[str]) -> list[str]:
    known = set(paths)
    return sorted(path for path in known if not any(str(parent) in known for parent in Path(path).parents))


def _bind(path: str, root: Path) -> list[dict[str, object]]:
    """Make the mount point of ``path`` and its mount; a symbolic link is repeated, not followed."""
    target = root / path[1:]
    target.parent.mkdir(parents=True, exist_ok=True)
    if Path(path).is_symlink():
        target.symlink_to(Path(path).readlink())
        return []
    if Path(path).is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    return [{"destination": path, "type": "bind", "source": path, "options": ["ro", "rbind"]}]
