"""The command: ``python -m sandbox_workers run | doctor | serve | attack``.

Exit codes: 0 all passed, 1 not all passed, 2 wrong use or a sandbox that cannot start.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from . import attacks, doctor
from .errors import SandboxError
from .extraction import program_of
from .isolation import LEVELS
from .languages import ALIASES, LANGUAGES, PYTHON, canonical
from .limits import Limits
from .packages import PYTEST
from .plan import plan
from .pool import Pool
from .sandbox import Sandbox
from .server import Server
from .suite import TestSuite
from .verdict import Verdict

SUFFIXES = {suffix: language.name for language in LANGUAGES.values() for suffix in language.suffixes}
LIMIT_OPTIONS = {
    "--wall": ("wall_s", "S", "wall seconds of a run"),
    "--cpu": ("cpu_s", "S", "CPU seconds of a run"),
    "--memory": ("memory_mb", "MB", "memory of a run"),
    "--output": ("output_kb", "KB", "standard output and error of a run, or the values that its tests get back"),
    "--file-size": ("file_mb", "MB", "the largest file that a program may write"),
    "--open-files": ("open_files", "N", "open file descriptors"),
    "--threads": ("threads", "N", "threads and processes together"),
    "--processes": ("processes", "N", "processes, counting the first"),
    "--stack": ("stack_mb", "MB", "stack of the main thread; 0: as much as the memory allows"),
}
"""Options of the command and the server: the limit of each, its unit and meaning."""
ANSWER_SUFFIXES = (".md", ".txt")
"""Files that hold a model's answer, with prose around the code."""
EXAMPLE = '{"kind": "assert", "tests": ["assert f(1) == 2"]}'
VERDICT_FIELDS = ("status", "passed", "total", "line", "error", "message", "wall_s", "cpu_s", "peak_bytes", "shared")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.action(options))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read the output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (SandboxError, OSError, ValueError, RecursionError) as error:
        print(f"sandbox_workers: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox_workers", description=__doc__)
    commands = parser.add_subparsers(required=True)

    run = commands.add_parser("run", help="judge programs by a test suite")
    run.add_argument("files", nargs="+", metavar="FILE", help="a program; its language is told by its suffix")
    run.add_argument("--tests", required=True, metavar="TESTS.json", help=f"such as {EXAMPLE}")
    run.add_argument("--json", action="store_true", help="one JSON object a line")
    run.add_argument("--all-tests", action="store_true", help="do not stop at the first failure")
    run.add_argument("--language", help="instead of telling by the suffix")
    run.add_argument(
        "--extract",
        choices=("auto", "none", "fence"),
        default="auto",
        help="judge the code fence of an answer: always, never, or for files named .md or .txt (auto, the default)",
    )
    _add_limits(run)
    run.set_defaults(action=_run)

    look = commands.add_parser("doctor", help="report this host's isolation and languages, and test them")
    look.add_argument("--all", action="store_true", help="run every attack in the self-test, not the quick ones")
    look.add_argument("--json", action="store_true", help="one JSON object a line")
    look.set_defaults(action=_doctor)

    attack = commands.add_parser("attack", help="run the attack suite")
    attack.add_argument("--isolation", default="full", choices=LEVELS)
    attack.add_argument("--json", action="store_true", help="one JSON object a line")
    attack.set_defaults(action=_attack)

    serve = commands.add_parser("serve", help="answer over HTTP, also as Sandbox Fusion does")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=_port, default=8080)
    serve.add_argument("--workers", type=_count, default=2)
    serve.add_argument("--queue", type=_count, default=256, help="requests that may wait; beyond, the answer is 504")
    known = " ".join([PYTHON, *LANGUAGES])
    serve.add_argument("--languages", nargs="+", default=[PYTHON], metavar="LANGUAGE", help=known)
    _add_limits(serve)
    serve.set_defaults(action=_serve)
    return parser


def _add_limits(parser: argparse.ArgumentParser) -> None:
    default = Limits()
    for option, (name, unit, meaning) in LIMIT_OPTIONS.items():
        value = getattr(default, name)
        shown = "as --wall" if name == "cpu_s" else value
        help_text = f"{meaning} (default {shown})"
        parser.add_argument(option, type=type(value), dest=name, metavar=unit, help=help_text)
    parser.add_argument("--isolation", default="full", choices=LEVELS)
    parser.add_argument(
        "--flags",
        action="append",
        default=[],
        type=_flags,
        metavar="LANGUAGE=FLAGS",
        help="compiler flags of a language instead of its own, such as cpp='-std=gnu++17 -O2'",
    )
    parser.add_argument("--packages", nargs="*", default=[], metavar="NAME", help="packages that programs may import")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return int(text)


def _flags(text: str) -> tuple[str, tuple[str, ...]]:
    name, equals, flags = text.partition("=")
    language = ALIASES.get(name, name)
    if not equals or language not in LANGUAGES:
        raise argparse.ArgumentTypeError(f"{text!r} is no LANGUAGE=FLAGS; languages are {', '.join(LANGUAGES)}")
    return language, tuple(shlex.split(flags))


def _limits(options: argparse.Namespace) -> Limits:
    names = [name for name, _, _ in LIMIT_OPTIONS.values()]
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    return Limits(**given)


def _run(options: argparse.Namespace) -> int:
    suite = TestSuite.from_json(json.loads(Path(options.tests).read_text(encoding="utf-8-sig")))
    programs = [(name, Path(name).read_text(encoding="utf-8", errors="surrogateescape")) for name in options.files]
    chosen = [canonical(options.language or SUFFIXES.get(Path(name).suffix.lower(), PYTHON)) for name in options.files]
    needed = [*chosen, *([suite.checker.language] if suite.checker else [])]
    by_pytest = [PYTEST] if PYTEST in plan(suite).packages else []
    packages = [*dict.fromkeys((*options.packages, *by_pytest))]
    passed = True
    with Sandbox(
        options.isolation, _limits(options), packages=packages, languages=needed, flags=dict(options.flags)
    ) as sandbox:
        for (name, text), language in zip(programs, chosen, strict=True):
            fenced = options.extract == "fence" or (options.extract == "auto" and Path(name).suffix in ANSWER_SUFFIXES)
            program = program_of(text, entry_point=suite.entry_point, language=language) if fenced else text
            verdict = sandbox.run(program, suite, stop_at_first_failure=not options.all_tests, language=language)
            passed &= verdict.ok
            print(json.dumps(_record(name, verdict)) if options.json else _line(name, verdict), flush=True)
    return 0 if passed else 1


def _record(name: str, verdict: Verdict) -> dict[str, object]:
    return {"file": name, **{field: getattr(verdict, field) for field in VERDICT_FIELDS}}


def _line(name: str, verdict: Verdict) -> str:
    place = f":{verdict.line}" if verdict.line else ""
    reason = " ".join(f"{verdict.error} {verdict.message}".split())  # on one line, whatever the program raised
    tests, time = f"{verdict.passed}/{verdict.total}", f"{verdict.wall_s * 1000:.0f} ms"
    way = "in one process with its tests" if verdict.shared else ""
    return " ".join(filter(None, (f"{name}{place}:", verdict.status, tests, way, f"in {time}", reason)))


def _doctor(options: argparse.Namespace) -> int:
    good = False
    for finding in doctor.examine(options.all):
        if options.json:
            print(json.dumps(finding._asdict()), flush=True)
        else:
            print(f"{'yes' if finding.good else 'no ':3}  {finding.name}: {finding.detail}", flush=True)
        good |= finding.good and finding.name == "isolation full"
    return 0 if good else 1


def _attack(options: argparse.Namespace) -> int:
    broken = 0
    with Sandbox(options.isolation) as sandbox:
        for attack, verdict, problem in attacks.run_all(sandbox):
            broken += bool(problem)
            name, status = f"{attack.category}/{attack.name}", verdict.status.value
            record = {"attack": name, "held": not problem, "status": status, "problem": problem}
            text = f"{'BROKEN' if problem else 'held  '}  {name}: {status} {problem}".rstrip()
            print(json.dumps(record) if options.json else text, flush=True)
    return 1 if broken else 0


def _serve(options: argparse.Namespace) -> int:
    def make() -> Sandbox:
        return Sandbox(
            options.isolation,
            _limits(options),
            packages=options.packages,
            languages=options.languages,
            flags=dict(options.flags),
        )

    with Server((options.host, options.port)) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop)
        with suppress(KeyboardInterrupt):
            pool = Pool(options.workers, options.queue, make)
            host = f"[{options.host}]" if ":" in options.host else options.host
            print(f"listening on http://{host}:{server.server_address[1]}", flush=True)
            server.serve(pool)
    return 0


def _stop(number: int, _: FrameType | None) -> None:
    """The first signal stops the server in order, a second one ends it."""
    signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt
