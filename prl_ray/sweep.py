"""``-m``: one run per combination of swept values, one after the other, each in its own process."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from prl_ray.child_commands import INTERRUPTED, ChildCommands
from prl_ray.config.composition import compose
from prl_ray.errors import PrlRayError

NAMED = ("model", "problems", "reward")
"""Config groups that are part of a run's default name."""


def sweep(program: str, overrides: Sequence[str]) -> None:
    """Runs ``python -m program`` once per combination (Hydra's sweep syntax: ``seed=1,2,3``, ``range(1,4)``, ``glob``).

    All combinations are validated before the first one runs. Artifacts are shared. The same command resumes an
    interrupted sweep. Raises ``PrlRayError`` at the first run that fails.
    """
    runs = named_runs(overrides)
    with ChildCommands() as commands:
        for number, arguments in enumerate(runs, 1):
            print(f"\n[{number} of {len(runs)}] python -m {program} {' '.join(arguments)}", flush=True)
            status = commands.run(program, arguments)
            if status == INTERRUPTED:
                raise KeyboardInterrupt
            if status:
                raise PrlRayError(f"run {number} of {len(runs)} failed with exit code {status}; see its message above")


def named_runs(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each run, with a distinct name. Raises ``ConfigError`` for a wrong one."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    swept = [o for o in parsed if o.is_sweep_override()]
    runs = []
    for batch in BasicSweeper.split_arguments(parsed, max_batch_size=None):
        for arguments in batch:
            config = compose(arguments)
            suffix = _suffix(swept, arguments, default_name=not config.name)
            runs.append([*arguments, f"name={config.run_name}{suffix}"])
            compose(runs[-1])
    return runs


def _suffix(swept: Sequence[Override], arguments: Sequence[str], *, default_name: bool) -> str:
    """``-seed-2`` for ``seed=2``; empty if the name itself is swept."""
    keys = {o.get_key_element().lstrip("+") for o in swept}
    if "name" in keys:
        return ""
    parts = []
    for argument in arguments:
        key, _, value = argument.lstrip("+").partition("=")
        if key in keys and not (default_name and key in NAMED):
            parts.append(f"-{key.rpartition('.')[2]}-{re.sub(r'[^0-9A-Za-z_.+]+', '-', value).strip('-')}")
    return "".join(parts)
