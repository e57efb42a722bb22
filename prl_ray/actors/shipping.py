"""The driver's code on every node: Ray's ``runtime_env`` carries it to all actors of a run.

Carried are ``prl_ray`` with ``prl_ray.conf``, ``sandbox_workers``, and the user's own plug-ins with the modules next to
them that they import. Installed packages are not: these are the nodes' own, and ``prl_ray.preflight`` compares their
versions. Ray puts the code in front of ``PYTHONPATH``, which the processes that actors start inherit.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypedDict, cast

from prl_ray.config import ClusterConfig
from prl_ray.errors import ConfigError, ResourceError
from prl_ray.fingerprints import visible_files

OWN = ("prl_ray", "sandbox_workers")
MOST_BYTES = 100 * 2**20
"""Of the shipped code, which the head keeps in memory; Ray's own limit is 500 MiB."""
JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by ``ray job submit`` for the driver: the job's ``runtime_env`` as JSON."""
OVERRIDE = "RAY_OVERRIDE_JOB_RUNTIME_ENV"
"""Without it Ray refuses a ``runtime_env`` that has a key in common with the job's."""


class RuntimeEnv(TypedDict, total=False):
    """The keys of Ray's ``runtime_env`` that are used here."""

    env_vars: dict[str, str]
    working_dir: str
    py_modules: list[str]


def environment(cluster: ClusterConfig, job: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment of every actor. ``job`` holds the variables of a submitted job."""
    defaults = {"RAY_DEDUP_LOGS": "1", "TOKENIZERS_PARALLELISM": "false"}
    return defaults | dict(job or {}) | {name: str(value) for name, value in cluster.env.items()}


@contextmanager
def runtime_env(cluster: ClusterConfig, plugins: Collection[str]) -> Iterator[RuntimeEnv]:
    """Ray's ``runtime_env`` of a run, valid within the block, in which ``ray.init`` uploads the code. ``plugins`` are
    the modules of the user's own parts. Nothing is carried on this machine alone, or without ``cluster.ship_code``.

    Raises ``ResourceError`` for more than ``MOST_BYTES`` of code.
    """
    job = _submitted()
    if job:
        os.environ[OVERRIDE] = "1"
    made = RuntimeEnv(env_vars=environment(cluster, job.get("env_vars")))
    if cluster.address is None or not cluster.ship_code:
        yield made
        return
    with TemporaryDirectory(prefix="prl_ray-code-") as folder:
        entries = staged(Path(folder), plugins)
        if job.get("working_dir"):  # Ray carries one folder as the working directory: the job's
            made["py_modules"] = [*map(str, entries), *job.get("py_modules", [])]
        else:
            # Not as py_modules: Ray would look for modules in the driver's working directory first, and a node may
            # have other code in a folder of that name.
            made["working_dir"] = folder
        yield made


def staged(folder: Path, plugins: Collection[str]) -> list[Path]:
    """Copies the code to carry into an empty folder; the copies of its packages and modules.

    Raises ``ResourceError`` if it is larger than ``MOST_BYTES``.
    """
    sources = {name: _places(name) for name in OWN} | _of_plugins(plugins)
    targets = {name: [(place, folder / place.name) for place in places] for name, places in sources.items()}
    targets["prl_ray"] += [(conf, folder / "prl_ray" / "conf") for conf in _places("prl_ray.conf")]
    copies = [
        (file, target / file.relative_to(place))
        for place, target in (pair for pairs in targets.values() for pair in pairs)
        for file in _files(place)
    ]
    _check_size([file for file, _ in copies])
    for file, copy in copies:
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return sorted(folder.iterdir())


def _of_plugins(plugins: Collection[str]) -> dict[str, list[Path]]:
    """Where the plug-ins' packages and modules are, by name, and those in the same folder that are imported. Installed
    packages are left out."""
    names = {module.partition(".")[0] for module in plugins} - set(OWN)
    found = {name: places for name in sorted(names) if not _installed(places := _places(name))}
    folders = {place.parent for places in found.values() for place in places}
    if not folders:
        return {}
    imported = {name: _loaded(name) for name in [*sys.modules] if "." not in name and name not in OWN}
    return found | {name: places for name, places in imported.items() if folders & {p.parent for p in places}}


def _places(module: str) -> list[Path]:
    """The folders of a package, or the file of a module."""
    spec = importlib.util.find_spec(module)
    if spec is None:
        raise ConfigError(f"there is no module {module}")
    if spec.submodule_search_locations:
        return [Path(place) for place in spec.submodule_search_locations]
    return [Path(spec.origin)] if spec.origin and spec.has_location else []


def _loaded(module: str) -> list[Path]:
    """As ``_places``, of an imported module; empty for one that was made by other means, such as ``__main__``."""
    return _places(module) if getattr(sys.modules[module], "__spec__", None) else []


def _installed(places: Collection[Path]) -> bool:
    return not places or any({"site-packages", "dist-packages"} & set(place.parts) for place in places)


def _files(place: Path) -> list[Path]:
    """A file, or the files below a folder but for hidden and compiled ones."""
    return [place] if place.is_file() else [f for f in visible_files(place) if "__pycache__" not in f.parts]


def _check_size(files: Collection[Path]) -> None:
    sizes = {file: file.stat().st_size for file in files}
    if sum(sizes.values()) > MOST_BYTES:
        largest = max(sizes, key=lambda file: sizes[file])
        raise ResourceError(
            f"the code to carry to the nodes has {sum(sizes.values()) / 1e6:.0f} MB, more than {MOST_BYTES / 1e6:.0f}; "
            f"its largest file is {largest}. Keep data out of the folders of your own modules, or install the code on "
            "all nodes and set cluster.ship_code=false"
        )


def _submitted() -> RuntimeEnv:
    """The ``runtime_env`` of the submitted job that this process drives; empty if it was started in another way."""
    job = json.loads(os.environ.get(JOB) or "{}")
    return cast(RuntimeEnv, job.get("runtime_env") or {})
