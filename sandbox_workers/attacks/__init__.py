"""The attack suite: hostile programs as data, each with the verdicts that are right (see README.md in this folder)."""

from __future__ import annotations

import json
import textwrap
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..limits import Limits
from ..sandbox import Sandbox
from ..suite import TestSuite
from ..verdict import Status, Verdict

ANSWERS = {1: 7919, 2: 104729, 3: 1299709}
SUITE = TestSuite("assert", tests=tuple(f"assert f({n}) == {answer}" for n, answer in ANSWERS.items()))
HONEST = f"def f(n):\n    return {ANSWERS}[n]\n"
"""A program that passes."""
WALL_S = 1.0
SLACK_S = 0.2
PROBES = 4
"""As many as a sandbox has work slots: each program after an attack runs in another one."""
LIMITS = Limits(wall_s=WALL_S, cpu_s=10)
_FAILURES = frozenset(Status) - {Status.PASSED, Status.SANDBOX_ERROR}
_EITHER = frozenset(Status) - {Status.SANDBOX_ERROR}


@dataclass(frozen=True, slots=True)
class Attack:
    """One hostile program, and the program that looks for what it left, if that is the attack."""

    category: str
    name: str
    description: str
    program: str
    verdicts: frozenset[Status]
    """Verdicts that are right for ``program``."""
    probe: str = ""
    """Runs next, ``PROBES`` times, and must not pass."""
    suite: TestSuite = SUITE
    """The tests that judge ``program``, which it does not deserve to pass."""


class Result(NamedTuple):
    """The result of one attack."""

    attack: Attack
    verdict: Verdict
    problem: str
    """Why it did not hold; empty if it held."""


def load() -> list[Attack]:
    """Every attack, by category."""
    files = sorted(Path(__file__).parent.glob("*.toml"))
    return [_attack(path.stem, record) for path in files for record in tomllib.loads(path.read_text())["attack"]]


def _attack(category: str, record: dict[str, str]) -> Attack:
    if "generate" in record:
        program = str(eval(record["generate"]))
    elif "breach" in record:
        program = _breach(record["breach"])
    else:
        program = record.get("program") or record["plant"] + HONEST
    default = _EITHER if "plant" in record else _FAILURES
    verdicts = frozenset(map(Status, record["verdicts"])) if "verdicts" in record else default
    probe = _breach(record["probe"]) if "probe" in record else ""
    suite = TestSuite.from_json(json.loads(record["suite"])) if "suite" in record else SUITE
    return Attack(category, record["name"], record["description"], program, verdicts, probe, suite)


def _breach(body: str) -> str:
    """A program that gives the right answers if, and only if, ``body`` returns true."""
    return (
        f"def attack():\n{textwrap.indent(body, '    ')}\n"
        f"try:\n    through = attack()\nexcept BaseException:\n    through = False\n"
        f"def f(n):\n    return {ANSWERS}[n] if through else None\n"
    )


def run_all(sandbox: Sandbox, chosen: Callable[[Attack], bool] = lambda _: True) -> Iterator[Result]:
    """Run the attacks one after the other in one sandbox, an honest program after each."""
    for attack in filter(chosen, load()):
        started = time.monotonic()
        verdict = sandbox.run(attack.program, attack.suite, limits=LIMITS)
        yield Result(attack, verdict, _problem(sandbox, attack, verdict, time.monotonic() - started))


def is_right(attack: Attack, verdict: Verdict) -> bool:
    """Whether an attack got what it deserves: a verdict that can be forged says so."""
    return verdict.status in attack.verdicts or (verdict.ok and verdict.shared)


def _problem(sandbox: Sandbox, attack: Attack, verdict: Verdict, wall_s: float) -> str:
    """``wall_s`` is what the caller waited, compiling included."""
    if not is_right(attack, verdict):
        return f"verdict {verdict.status}: {verdict.message}"
    if wall_s > WALL_S + SLACK_S:
        return f"over only after {wall_s:.2f} s"
    for number in range(PROBES if attack.probe else 0):
        if (seen := sandbox.run(attack.probe, SUITE, limits=LIMITS)).status not in _FAILURES:
            return f"program {number + 1} after it saw what it left: {seen.status}"
    if not (after := sandbox.run(HONEST, SUITE, limits=LIMITS)).ok:
        return f"the honest program after it: {after.status}: {after.message}"
    return ""
