"""Languages other than Python: one module each, listed here. They are judged by standard input and output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import SandboxUnavailable
from . import cpp, go, java, javascript, rust, typescript
from .language import Language

PYTHON = "python"
_MODULES = (cpp, go, java, javascript, rust, typescript)
LANGUAGES: dict[str, Language] = {module.LANGUAGE.name: module.LANGUAGE for module in _MODULES}
"""By name; Python is the zygote's own language and needs no entry."""
ALIASES = {alias: language.name for language in LANGUAGES.values() for alias in language.aliases}


def canonical(name: str) -> str:
    """The name of a language that may be given by an alias.

    Raises:
        SandboxUnavailable: there is no such language.
    """
    found = ALIASES.get(name, name)
    if found != PYTHON and found not in LANGUAGES:
        raise SandboxUnavailable(f"unknown language {name!r}; one of {', '.join([PYTHON, *LANGUAGES])}")
    return found


def require(names: Sequence[str], flags: Mapping[str, Sequence[str]] | None = None) -> list[Language]:
    """The languages of those names, Python left out; with other ``flags`` than their own where some are given.

    Raises:
        SandboxUnavailable: a language is unknown, or its toolchain is missing here.
    """
    chosen = {canonical(name): tuple(words) for name, words in (flags or {}).items()}
    wanted = [LANGUAGES[name] for name in dict.fromkeys(map(canonical, names)) if name != PYTHON]
    for language in wanted:
        if missing := language.missing():
            raise SandboxUnavailable(f"language {language.name!r} needs {', '.join(missing)}, which this host lacks")
    return [replace(found, flags=chosen.get(found.name, found.flags)) for found in wanted]
