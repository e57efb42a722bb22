"""The common part of the commands: Hydra's flags, errors as one message, and exit codes."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prl_ray.config import explain
from prl_ray.config.composition import GROUPS, compose, options, spelled
from prl_ray.errors import ConfigError, PrlRayError

Main = Callable[[list[str]], None]

FLAGS = """\
Flags, with the same meaning as in Hydra:
  --cfg job [--resolve]       print the composed config and exit
  -m, --multirun              one run per combination of comma-separated values: -m seed=1,2,3 reward=outcome,process
  --config-dir DIR            more config files, in folders named like the groups
  --shell-completion install=bash|zsh|fish     for the command prl-ray-train; eval its output
  --info, --hydra-help        Hydra's own information
  --explain                   print which stages would run, and why, and exit"""


def run(program: str, description: str, main: Main, argv: Sequence[str] | None = None) -> None:
    """Runs a command: ``--help``, or ``main`` with the arguments. A ``PrlRayError`` ends it with one message.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (Ctrl-C, SIGTERM, or a terminal that was closed).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if any(a in ("-h", "--help") for a in arguments):
        with _reader_may_leave():
            print(f"usage: python -m {program} {description}")
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup has it ignored
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    try:
        main(arguments)
    except ConfigError as error:
        _end(str(error), 2)
    except PrlRayError as error:
        _end(f"{type(error).__name__}: {error}", 1)
    except KeyboardInterrupt:
        _end("interrupted; give the same command again to resume", 130)
    except OSError as error:
        if error.errno is None:
            raise
        _end(f"{error}", 1)


def run_composed(
    program: str, description: str, main: Main, fixed: Sequence[str] = (), argv: Sequence[str] | None = None
) -> None:
    """Runs a command whose arguments are Hydra overrides and flags. ``main`` gets the overrides, those of ``fixed``
    last. Exit codes as :func:`run`."""

    def with_flags(arguments: list[str]) -> None:
        flags = _parsed(program, arguments)
        overrides = [*(spelled(o) for o in flags.overrides), *fixed]
        if flags.config_dir:
            overrides.append(f"hydra.searchpath=[{Path(flags.config_dir).resolve().as_uri()}]")
        if flags.shell_completion or flags.hydra_help or flags.info:
            return _hydra(arguments)
        if flags.multirun:
            from prl_ray.sweep import sweep

            return sweep(program, overrides)
        if flags.cfg:
            compose(overrides)  # our own message for a wrong key
            return _hydra([a for a in arguments if a not in flags.overrides] + overrides)
        if flags.explain:
            return _explain(overrides)
        return main(overrides)

    run(program, help_text(description), with_flags, argv)


def _parsed(program: str, arguments: list[str]) -> argparse.Namespace:
    """The flags of Hydra and of this command. Raises ConfigError for an unknown flag."""
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    parser.prog = f"python -m {program}"
    parser.add_argument("--explain", action="store_true")
    flags, unknown = parser.parse_known_intermixed_args(arguments)
    if unknown:
        raise ConfigError(f"config: '{unknown[0]}' is not a flag of this command (--help lists all)")
    if flags.config_dir and not Path(flags.config_dir).is_dir():
        raise ConfigError(f"config: --config-dir {flags.config_dir}: there is no such folder")
    return flags


def _hydra(arguments: Sequence[str]) -> None:
    """Lets Hydra handle the flags that only print something."""
    import hydra

    sys.argv = [sys.argv[0], *arguments]
    show = hydra.main(version_base="1.3", config_path="pkg://prl_ray.conf", config_name="config")
    with _reader_may_leave():
        show(lambda config: None)()


def _explain(overrides: list[str]) -> None:
    config = compose(overrides)
    from prl_ray.recipe import explain as reasons

    with _reader_may_leave():
        for artifact, reason in reasons(config):
            print(f"{artifact:10} {reason}")


def help_text(description: str) -> str:
    """Usage of a composed command: description, flags, config groups with their options, and all keys."""
    groups = "\n".join(f"  {'+' if g in ('cluster', 'experiment') else ''}{g}={'|'.join(options(g))}" for g in GROUPS)
    return (
        f"[GROUP=OPTION] [KEY=VALUE] [FLAG] ...\n\n{description}\n\n{FLAGS}\n\n"
        f"Config groups (files in conf/):\n{groups}\n\nKeys, with their defaults:\n{explain()}"
    )


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """Drops the rest of standard output if its reader has closed the pipe (``| head``)."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # Python flushes standard output once more when it ends
        os.close(nowhere)


def _end(message: str, code: int) -> None:
    print(f"\nerror: {message}" if code != 130 else f"\n{message}", file=sys.stderr, flush=True)
    raise SystemExit(code)
