"""C++, compiled once and run once a case: C++20 with GNU's extensions, as the judges of contests compile it."""

from __future__ import annotations

from .language import ARTIFACT, Language

LANGUAGE = Language(
    name="cpp",
    aliases=("c++", "cc", "g++"),
    suffixes=(".cpp", ".cc", ".cxx", ".c++"),
    source_name="program.cpp",
    toolchain=("g++",),
    build=("g++", "{flags}", "-pipe", "-o", ARTIFACT, "program.cpp"),
    flags=("-std=gnu++20", "-O2", "-DONLINE_JUDGE"),
    error_line=r"^program\.cpp:(\d+):\d+: (?:fatal )?error",
    memory_marks=("std::bad_alloc", "std::length_error", "cannot allocate memory"),
)
