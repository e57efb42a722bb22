"""Fingerprints of inputs: contents of files and folders, and the code of a stage.

Artifacts are keyed by these (see ``prl_ray.artifacts``), so a file replaced in place, or changed code, gives another
artifact.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import xxhash

from prl_ray.errors import ConfigError, DataError

PACKAGES = Path(__file__).resolve().parent.parent
"""The folder that holds ``prl_ray``."""
CONF = PACKAGES / "prl_ray" / "conf"
"""Where ``conf/`` is installed. It holds settings, and in a checkout it lies elsewhere."""
_CHUNK = 1 << 22


def file_digest(file: Path) -> str:
    """XXH3 digest (128 bits, hexadecimal) of a file's contents. It detects damage and changes, not forgery."""
    digest = xxhash.xxh3_128()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def text_digest(text: str) -> str:
    """XXH3 digest (128 bits, hexadecimal) of a text."""
    return xxhash.xxh3_128(text.encode()).hexdigest()


def signed(state: Mapping[str, object]) -> dict[str, object]:
    """The state with a checksum of its other entries."""
    entries = {key: value for key, value in state.items() if key != "checksum"}
    return {**entries, "checksum": text_digest(json.dumps(entries, sort_keys=True))}


def fingerprint(path: Path) -> str:
    """Digest of a file's contents, or of the names and contents of all files below a folder, hidden ones excluded.

    Raises ``DataError`` if there is nothing at ``path`` or it cannot be read.
    """
    try:
        if path.is_file():
            return file_digest(path)
        digest = xxhash.xxh3_128()
        for file in visible_files(path):
            digest.update(f"{file.relative_to(path)}\0{file_digest(file)}\n".encode())
        return digest.hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def visible_files(folder: Path) -> Iterator[Path]:
    """All files below a folder, in order, but for hidden ones and those in hidden folders."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from visible_files(entry)
        else:
            yield entry


@cache
def code_version(rooms: tuple[str, ...]) -> str:
    """Digest of the Python code in ``rooms``: modules or packages, as paths below the folder of their
    package, such as ``prl_ray/ppo``.

    Only the syntax tree counts: comments, docstrings and formatting do not change the digest. Raises
    ``FileNotFoundError`` for a room that does not exist.
    """
    return _code_digest(_sources(rooms))


def module_version(module: str) -> str:
    """Digest of a module's code, for plug-ins: as ``code_version``, over the whole package of a module in a package,
    since a module may import its neighbours. Raises ``ConfigError`` if there is no such module."""
    spec = importlib.util.find_spec(module.partition(".")[0])
    if spec is None:
        raise ConfigError(f"there is no module {module}")
    if spec.submodule_search_locations:
        folders = [Path(place) for place in spec.submodule_search_locations]
        return "-".join(_code_digest(_named(folder, visible_files(folder))) for folder in folders)
    file = Path(spec.origin or "")
    return _code_digest(_named(file.parent, [file])) if file.suffix == ".py" else file_digest(file)


def library_versions(*names: str) -> dict[str, str]:
    """Versions of the installed distributions among ``names``."""
    found = {}
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _code_digest(sources: Mapping[Path, Path]) -> str:
    """``sources`` has the place of each file by the name that counts."""
    digest = hashlib.sha256()
    for name, file in sorted(sources.items()):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        digest.update(f"{name}\0{ast.dump(_without_docstrings(tree))}\n".encode())
    return digest.hexdigest()[:16]


def _named(root: Path, files: Iterable[Path]) -> dict[Path, Path]:
    """The Python files among ``files``, by their paths below ``root``."""
    return {file.relative_to(root): file for file in files if file.suffix == ".py"}


def _sources(rooms: Iterable[str]) -> dict[Path, Path]:
    found: dict[Path, Path] = {}
    for room in rooms:
        root = _folder_of(room.partition("/")[0])
        place = root / room
        if not place.exists():
            raise FileNotFoundError(f"no module or package at {place}")
        files = [place] if place.is_file() else place.rglob("*.py")
        found |= _named(root, (file for file in files if CONF not in file.parents))
    return found


def _folder_of(package: str) -> Path:
    """The folder that holds a package; Ray puts each of those that it carries into a folder of its own."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).resolve().parents[1] if spec and spec.origin else PACKAGES


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """Removes strings that stand alone as statements: the documentation of a module, class, function or field."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [s for s in body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
            node.body = kept  # type: ignore[attr-defined]
    return tree
