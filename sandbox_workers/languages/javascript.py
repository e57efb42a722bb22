"""JavaScript, run by node."""

from __future__ import annotations

from .language import Language

LANGUAGE = Language(
    name="javascript",
    aliases=("js", "node", "nodejs"),
    source_name="program.js",
    toolchain=("node",),
    run=("/usr/bin/node", "--max-old-space-size={memory_mb}", "program.js"),
    error_line=r"program\.js:(\d+)",
    memory_marks=("Fatal process out of memory", "JavaScript heap out of memory", "Array buffer allocation failed"),
    reserves_address_space=True,
)
