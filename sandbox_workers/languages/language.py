"""What a language is to the sandbox."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass

ARTIFACT = "program"
"""Name of the file that a build makes."""
TOOLCHAIN_PATHS = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives", "/etc/ld.so.cache")
"""Host paths that compilers and interpreters read."""


@dataclass(frozen=True, slots=True)
class Language:
    """How to build and run a program of one language."""

    name: str
    aliases: tuple[str, ...]
    source_name: str
    toolchain: tuple[str, ...]
    """Commands that must be on the host."""
    build: tuple[str, ...] = ()
    """Command that makes ``ARTIFACT`` from the source, in its directory; empty where the source is run."""
    run: tuple[str, ...] = ()
    """Command that runs the source; ``{memory_mb}`` is filled in. Empty where the artifact is run."""
    error_line: str = ""
    """Regular expression whose first group is the line of the program in what the toolchain complains."""
    memory_marks: tuple[str, ...] = ()
    """What a program of this language prints to standard error when it may not have more memory."""
    reserves_address_space: bool = False
    """Whether it reserves far more address space than it uses: then only what it writes to is limited."""

    def missing(self) -> list[str]:
        """Commands that this host lacks."""
        return [command for command in self.toolchain if shutil.which(command) is None]

    def line_of(self, complaint: str) -> int | None:
        """The line of the program that a complaint names first."""
        found = re.search(self.error_line, complaint, re.M) if self.error_line else None
        return int(found.group(1)) if found else None

    def ran_out_of_memory(self, complaint: str) -> bool:
        """Whether a complaint is about memory."""
        return any(mark in complaint for mark in self.memory_marks)
