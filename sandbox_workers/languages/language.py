"""The interface of a language to the sandbox."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ARTIFACT = "program"
"""Name of the file that a build makes."""
TOOLCHAIN_PATHS = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives", "/etc/ld.so.cache")
"""Host paths that compilers and interpreters read."""
STACK_MB = 64
"""Stack of a language's threads where the limits set none, as contests give Java."""
_ROOT_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Language:
    """How to build and run a program of one language.

    Words of ``build`` and ``run`` that name a command of ``toolchain`` stand for its path. ``{root}`` stands for the
    directory that the last command of the toolchain is installed in, ``{memory_mb}`` and ``{stack_mb}`` for limits, and
    the word ``{flags}`` for all of ``flags``.
    """

    name: str
    aliases: tuple[str, ...]
    source_name: str
    toolchain: tuple[str, ...]
    """Commands that must be on the host."""
    suffixes: tuple[str, ...] = ()
    """Endings of the names of files with programs of this language."""
    build: tuple[str, ...] = ()
    """Command that makes ``ARTIFACT`` from the source, in its directory; empty where the source is run."""
    flags: tuple[str, ...] = ()
    """Flags of the build, or of the run where there is none; an operator may give others."""
    run: tuple[str, ...] = ()
    """Command that runs the artifact or, without a build, the source. Empty where the artifact itself is run."""
    root_from: tuple[str, ...] = ()
    """Command that prints where the toolchain is installed, if its commands are only wrappers (rustup)."""
    settings: tuple[str, ...] = ()
    """Directories whose files may be links to elsewhere (``/etc``), such as ``{root}/conf``: those are read too."""
    error_line: str = ""
    """Regular expression whose first group is the line of the program in the toolchain's messages."""
    memory_marks: tuple[str, ...] = ()
    """Text that a program of this language prints to standard error when it may not have more memory."""
    reserves_address_space: bool = False
    """Whether it reserves far more address space than it uses: then only written memory is limited."""
    runtime_mb: int = 0
    """MiB that the language's runtime needs for itself, on top of the program's limit."""

    def missing(self) -> list[str]:
        """Commands that this host lacks, or that are wrappers without a toolchain behind them."""
        absent = [command for command in self.toolchain if shutil.which(command) is None]
        return absent or ([self.root_from[0]] if self.root_from and not _root(self.root_from) else [])

    def readable(self) -> tuple[str, ...]:
        """Host paths that the toolchain reads, beyond those that hold for all languages."""
        roots = [_installation(self._path(command)) for command in self.toolchain]
        folders = [Path(folder) for folder in self._expanded(self.settings, 0, 0)]
        linked = [str(path.resolve()) for folder in folders for path in folder.rglob("*") if path.is_file()]
        return tuple({path for path in (*roots, *linked) if not path.startswith(("/usr/", "/bin/"))})

    def build_command(self) -> list[str]:
        """The command that makes the artifact."""
        return list(self._expanded(self.build, 0, 0))

    def run_command(self, memory_mb: int, stack_mb: int) -> list[str]:
        """The command that runs the artifact or the source; empty where the artifact itself is run."""
        return list(self._expanded(self.run, memory_mb, stack_mb))

    def _expanded(self, command: tuple[str, ...], memory_mb: int, stack_mb: int) -> Iterator[str]:
        for word in command:
            if word == "{flags}":
                yield from self.flags
            elif word in self.toolchain:
                yield self._path(word)
            else:
                root = _installation(self._path(self.toolchain[-1])) if "{root}" in word else ""
                for name, value in (("root", root), ("memory_mb", memory_mb), ("stack_mb", stack_mb or STACK_MB)):
                    word = word.replace(f"{{{name}}}", str(value))
                yield word

    def _path(self, command: str) -> str:
        """The path of a command of the toolchain that is not missing."""
        return _path(command, self.root_from)

    def line_of(self, complaint: str) -> int | None:
        """The line of the program that a complaint names first."""
        found = re.search(self.error_line, complaint, re.M) if self.error_line else None
        return int(found.group(1)) if found else None

    def ran_out_of_memory(self, complaint: str) -> bool:
        """Whether a complaint is about memory."""
        return any(mark in complaint for mark in self.memory_marks)


@lru_cache(maxsize=64)
def _root(root_from: tuple[str, ...]) -> str:
    """Where a toolchain is installed; empty where its wrapper finds none, as rustup without a default toolchain."""
    done = subprocess.run(root_from, capture_output=True, text=True, timeout=_ROOT_TIMEOUT_S, check=False)
    return "" if done.returncode else done.stdout.strip()


@lru_cache(maxsize=64)
def _path(command: str, root_from: tuple[str, ...]) -> str:
    if root_from and (root := _root(root_from)):
        own = Path(root) / "bin" / command
        if own.exists():
            return str(own)
    found = shutil.which(command)
    return str(Path(found).resolve()) if found else command


def _installation(path: str) -> str:
    """The directory that a command is installed in: the one above its ``bin``."""
    folder = Path(path).parent
    return str(folder.parent if folder.name in ("bin", ".bin") else folder)
