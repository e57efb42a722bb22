"""Programs of other languages: their build, and runs of its result."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from .compile_service import CompileFailure
from .inside import protocol, reports
from .inside.protocol import EXECUTION_MODES
from .languages.language import ARTIFACT, Language
from .limits import Limits
from .program import sealed_file
from .worker import Run, Worker

BUILD_LIMITS = Limits(wall_s=30, cpu_s=30, memory_mb=2048, processes=16, file_mb=64, output_kb=1 << 16)
COMPLAINT_LENGTH = 2000
Files = Sequence[tuple[str, bytes]]
"""Names and contents."""


def build(worker: Worker, language: Language, program: str, files: Files = ()) -> bytes:
    """The artifact of a program of another language, empty where the source itself is run; ``files`` lie next to
    the source.

    Raises:
        CompileFailure: it does not compile.
    """
    if not language.build:
        return b""
    built: list[tuple[int, bytes]] = []

    def take(report: reports.Report) -> bool:
        if not isinstance(report, reports.Built):
            raise ValueError(report)
        built.append((report.exit_code, base64.b64decode(report.artifact)))
        return True

    source = program.encode("utf-8", "replace")
    resources = BUILD_LIMITS.resources(data_only=language.reserves_address_space)
    present = [*files, (language.source_name, source)]
    job = protocol.BuildJob(resources, present, language.build_command(), ARTIFACT)
    built_run = worker.run_once("build", job, BUILD_LIMITS, take)
    complaint = built_run.record.stderr.decode("utf-8", "replace")
    if not built:
        raise CompileFailure("CompilerCrash", None, built_run.cause or complaint[-COMPLAINT_LENGTH:])
    exit_code, artifact = built[0]
    if exit_code != 0:
        raise CompileFailure("CompileError", language.line_of(complaint), complaint[:COMPLAINT_LENGTH])
    return artifact


def run(
    worker: Worker,
    language: Language,
    program: str,
    artifact: bytes,
    stdin: bytes,
    limits: Limits,
    files: Files = (),
    arguments: Sequence[str] = (),
) -> Run:
    """Run a program of another language, as its artifact or from its source, with ``files`` in its directory."""
    command = language.run_command(limits.memory_mb, limits.stack_mb)
    limits = replace(limits, memory_mb=limits.memory_mb + language.runtime_mb)
    resources = limits.resources(data_only=language.reserves_address_space)
    source = artifact if language.build else program.encode("utf-8", "replace")
    name = ARTIFACT if language.build else language.source_name
    present = [*files, (name, source)] if command else list(files)
    job = protocol.NativeJob(resources, limits.processes > 1, present, command, list(arguments))
    with ExitStack() as stack:
        descriptors = [sealed_file(data) for data in (stdin, artifact)]
        for descriptor in descriptors:
            stack.callback(os.close, descriptor)
        return worker.run_once(EXECUTION_MODES["native"].role, job, limits, None, descriptors)
