"""What the commands share: Hydra overrides with clear errors, and one way to end."""

from __future__ import annotations

import difflib
import re
import signal
import sys
from collections.abc import Callable, Sequence

from hydra import compose, initialize_config_module
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from prl_ray.config import Config, check_key, explain, mappings, validate
from prl_ray.errors import ConfigError, PrlRayError

GROUPS = ("cluster", "model", "problems", "teacher", "reward", "algorithm", "tracking", "experiment")


def configure(overrides: Sequence[str]) -> Config:
    """The validated config of Hydra-style overrides (``reward=outcome loop.steps=4 +cluster=local``).

    Raises:
        ConfigError: a group option, key or value that does not exist, with the nearest right one.
    """
    return validate(composed([_spelled(o) for o in overrides]))


def composed(overrides: Sequence[str]) -> DictConfig:
    """What Hydra makes of ``conf/`` and the overrides."""
    try:
        with initialize_config_module(config_module="prl_ray.conf", version_base="1.3"):
            return compose(config_name="config", overrides=list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        for override in overrides:
            _explain_failure(override)
        cause = error.__cause__ or error
        raise ConfigError(f"config: {str(error).splitlines()[0]}: {str(cause).splitlines()[0]}") from error


def options(group: str) -> list[str]:
    """What may be chosen of a config group."""
    import importlib.resources

    place = importlib.resources.files("prl_ray.conf") / group
    return sorted(f.name.removesuffix(".yaml") for f in place.iterdir() if f.name.endswith(".yaml"))


def run(program: str, description: str, main: Callable[[list[str]], None], argv: list[str] | None = None) -> None:
    """Runs a command: ``--help``, then ``main`` with the overrides. Our own errors end it with one message.

    Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted, by Ctrl-C or by whoever manages the machine (SIGTERM).
    """
    arguments = sys.argv[1:] if argv is None else argv
    if any(a in ("-h", "--help") for a in arguments):
        print(help_text(program, description))
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main(arguments)
    except ConfigError as error:
        _end(str(error), 2)
    except PrlRayError as error:
        _end(f"{type(error).__name__}: {error}", 1)
    except KeyboardInterrupt:
        _end("interrupted; give the same command again to go on", 130)
    except OSError as error:
        if error.errno is None:
            raise
        _end(f"{error}", 1)


def help_text(program: str, description: str) -> str:
    """Usage, config groups with their options, and all keys."""
    groups = "\n".join(f"  {'+' if g in ('cluster', 'experiment') else ''}{g}={'|'.join(options(g))}" for g in GROUPS)
    return (
        f"usage: python -m {program} [GROUP=OPTION] [KEY=VALUE] ...\n\n{description}\n\n"
        f"Config groups (files in conf/):\n{groups}\n\nKeys, with their defaults:\n{explain()}"
    )


def _spelled(override: str) -> str:
    """``cluster=…`` and ``experiment=…`` are not in the defaults list, and what lies under a mapping is no key of the
    schema: there Hydra wants a plus sign."""
    in_mapping = any(override.startswith(f"{key}.") for key in mappings())
    return f"+{override}" if in_mapping or re.match(r"(cluster|experiment)=", override) else override


def _explain_failure(override: str) -> None:
    """Raises ConfigError with the nearest right spelling if ``override`` is to blame."""
    key, equals, value = override.lstrip("+~").partition("=")
    if not equals:
        raise ConfigError(f"config: '{override}' is no override; write KEY=VALUE (--help lists all)")
    if key in GROUPS:
        known = options(key)
        if value not in known:
            near = difflib.get_close_matches(value, known, n=1, cutoff=0.0)[0]
            raise ConfigError(f"config: {key}={value} is none of {', '.join(known)}; did you mean '{near}'?")
    elif key not in ("hydra",) and not key.startswith("hydra."):
        near_group = difflib.get_close_matches(key, GROUPS, n=1, cutoff=0.75)
        if near_group and "." not in key:
            raise ConfigError(f"config: there is no key '{key}'; did you mean '{near_group[0]}'?")
        check_key(key)


def _end(message: str, code: int) -> None:
    print(f"\nerror: {message}" if code != 130 else f"\n{message}", file=sys.stderr, flush=True)
    raise SystemExit(code)
