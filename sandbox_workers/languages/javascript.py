"""JavaScript, run by node."""

from __future__ import annotations

from .language import Language

MEMORY_MARKS = ("Fatal process out of memory", "JavaScript heap out of memory", "Array buffer allocation failed")

LANGUAGE = Language(
    name="javascript",
    aliases=("js", "node", "nodejs"),
    suffixes=(".js", ".mjs"),
    source_name="program.js",
    toolchain=("node",),
    run=("node", "{flags}", "--max-old-space-size={memory_mb}", "--stack-size={stack_mb}000", "program.js"),
    error_line=r"program\.js:(\d+)",
    memory_marks=MEMORY_MARKS,
    reserves_address_space=True,
)
