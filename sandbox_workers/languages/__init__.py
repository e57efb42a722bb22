"""Languages other than Python: one module each, listed here. They are judged by standard input and output."""

from __future__ import annotations

from ..errors import SandboxUnavailable
from . import cpp, javascript
from .language import Language

PYTHON = "python"
LANGUAGES: dict[str, Language] = {language.name: language for language in (cpp.LANGUAGE, javascript.LANGUAGE)}
"""By name; Python is the zygote's own language and needs no entry."""
ALIASES = {alias: language.name for language in LANGUAGES.values() for alias in language.aliases}


def canonical(name: str) -> str:
    """The name of a language that may be given by an alias.

    Raises:
        SandboxUnavailable: nobody taught us the language.
    """
    found = ALIASES.get(name, name)
    if found != PYTHON and found not in LANGUAGES:
        raise SandboxUnavailable(f"unknown language {name!r}; one of {', '.join([PYTHON, *LANGUAGES])}")
    return found


def require(names: tuple[str, ...]) -> list[Language]:
    """The languages of those names, Python left out.

    Raises:
        SandboxUnavailable: a language is unknown, or its toolchain is missing here.
    """
    wanted = [LANGUAGES[name] for name in map(canonical, names) if name != PYTHON]
    for language in wanted:
        if missing := language.missing():
            raise SandboxUnavailable(f"language {language.name!r} needs {', '.join(missing)}, which this host lacks")
    return wanted
