"""C++, compiled once and run once a case."""

from __future__ import annotations

from .language import ARTIFACT, Language

LANGUAGE = Language(
    name="cpp",
    aliases=("c++", "cc", "g++"),
    source_name="program.cpp",
    toolchain=("g++",),
    build=("/usr/bin/g++", "-std=c++17", "-O2", "-pipe", "-o", ARTIFACT, "program.cpp"),
    error_line=r"^program\.cpp:(\d+):\d+: (?:fatal )?error",
    memory_marks=("std::bad_alloc", "std::length_error"),
)
