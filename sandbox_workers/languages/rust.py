"""Rust, one crate without dependencies, compiled once and run once a case."""

from __future__ import annotations

from .language import ARTIFACT, Language

LANGUAGE = Language(
    name="rust",
    aliases=("rs", "rustc"),
    suffixes=(".rs",),
    source_name="program.rs",
    toolchain=("cc", "rustc"),
    build=(
        *("/usr/bin/env", "LD_LIBRARY_PATH={root}/lib"),  # else found by way of /proc, which programs do not have
        *("rustc", "--sysroot", "{root}", "{flags}", "--crate-name", "program", "-o", ARTIFACT, "program.rs"),
        "-Clink-arg=-fuse-ld=bfd",  # rustc's own linker asks /proc where it is
    ),
    flags=("--edition=2021", "-Copt-level=2", "-Awarnings"),
    root_from=("rustc", "--print", "sysroot"),
    error_line=r"(?:^ *--> |panicked at )program\.rs:(\d+)",
    memory_marks=("memory allocation of", "capacity overflow"),
)
