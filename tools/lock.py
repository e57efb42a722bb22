"""Resolves the dependencies of pyproject.toml into ``requirements/*.lock``: names and versions, no addresses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from install import has_cpu_torch, uv_environment

ROOT = Path(__file__).resolve().parent.parent
HEADER = {
    "cpu": "# For machines without a GPU. Written by `make lock`; installed and tested.\n",
    "gpu": "# For machines with an NVIDIA GPU. Written by `make lock`; resolved, but not yet run on such a machine.\n",
}


def main() -> None:
    """Writes both locks."""
    for variant, header in HEADER.items():
        environment = uv_environment(Path(sys.executable))
        command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "pyproject.toml", "--quiet"]
        command += ["--python", sys.executable, "--extra", variant, "--extra", "dev"]
        command += ["--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links"]
        if variant == "cpu":
            command += ["--overrides", "requirements/cpu.overrides"]
            command += [] if has_cpu_torch(environment) else ["--torch-backend", "cpu"]
        else:
            environment.pop("UV_FIND_LINKS", None)  # a local CPU build of torch would be taken
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        # The build label is dropped: the installer chooses the build of torch, not the lock.
        (ROOT / "requirements" / f"{variant}.lock").write_text(header + done.stdout.replace("+cpu", ""))


if __name__ == "__main__":
    os.environ.pop("UV_TORCH_BACKEND", None)
    main()
