"""Go, the standard library only, compiled once and run once a case."""

from __future__ import annotations

from .language import ARTIFACT, Language

LANGUAGE = Language(
    name="go",
    aliases=("golang",),
    suffixes=(".go",),
    source_name="program.go",
    toolchain=("go",),
    build=(
        *("/usr/bin/env", "GOROOT={root}", "GOCACHE=/tmp/.go-build", "GOPATH=/tmp/.go", "GO111MODULE=off"),
        *("CGO_ENABLED=0", "GOTOOLCHAIN=local", "GOFLAGS=", "go", "build", "{flags}", "-o", ARTIFACT, "program.go"),
    ),
    root_from=("go", "env", "GOROOT"),
    error_line=r"program\.go:(\d+)",
    memory_marks=("out of memory", "cannot allocate memory"),
    reserves_address_space=True,
    runtime_mb=64,
)
