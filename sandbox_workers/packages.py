"""The installed packages that programs may import: where they lie, with all that they need."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from .errors import SandboxUnavailable

PYTEST = "pytest"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def package_paths(packages: Sequence[str]) -> list[str]:
    """Directories and modules that make up the packages and those they require, shared libraries of wheels included.

    Raises:
        SandboxUnavailable: one of ``packages`` is not installed.
    """
    asked = [name for name in packages if name not in sys.stdlib_module_names]
    found = {path: None for name in asked for path in _asked_paths(name)}
    for name in asked:
        found |= {path: None for module in required_modules(name) for path in _paths(module)}
    return list(found)


def missing(wanted: Sequence[str], packages: Sequence[str]) -> list[str]:
    """Those of the wanted modules that are installed here, and that programs with these packages cannot import.

    One that is not installed is among them only by the name of pytest, which runs tests.
    """
    here = {*packages, *(module for name in packages for module in required_modules(name))}
    return sorted(name for name in wanted if name not in here and (name == PYTEST or _paths(name)))


def import_paths(packages: Sequence[str]) -> list[str]:
    """Directories that programs search for those packages."""
    return sorted({str(Path(path).parent) for path in package_paths(packages)})


def _asked_paths(name: str) -> list[str]:
    found = _paths(name) if name.isidentifier() else []
    if not found:
        raise SandboxUnavailable(f"the package {name!r} is not installed here, so that programs cannot have it")
    return found


@lru_cache(maxsize=256)
def _paths(name: str) -> list[str]:
    """Where a module is, and the libraries of its wheel; nothing if it is not installed."""
    spec = find_spec(name)
    if spec is None:
        return []
    if spec.origin is None or spec.origin in ("built-in", "frozen"):
        return list(spec.submodule_search_locations or ())  # parts of one namespace
    origin = Path(spec.origin)
    found = origin.parent if origin.name == "__init__.py" else origin
    libraries = found.parent / f"{name}.libs"
    return [str(found), *([str(libraries)] if libraries.is_dir() else [])]


@lru_cache(maxsize=64)
def required_modules(name: str) -> tuple[str, ...]:
    """The other top-level modules of a package's distribution, and those of all distributions that it requires."""
    from importlib import metadata  # most sandboxes have no packages

    by_module = metadata.packages_distributions()
    todo = list(by_module.get(name, ()))
    distributions: set[str] = set()
    while todo:
        distribution = _normal(todo.pop())
        if distribution not in distributions:
            distributions.add(distribution)
            todo += _required(distribution)
    return tuple(
        module
        for module, of in sorted(by_module.items())
        if module != name and module.isidentifier() and not distributions.isdisjoint(map(_normal, of))
    )


def _required(distribution: str) -> Iterator[str]:
    """Names of the distributions that one requires, without those of its extras."""
    from importlib import metadata

    try:
        requirements = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:  # for another system, perhaps
        return
    for requirement in requirements:
        name = _NAME.match(requirement)
        if name is not None and "extra ==" not in requirement:
            yield name[0]


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
