"""The attack suite holds, attack by attack, at full isolation."""

from __future__ import annotations

import ast
import itertools
import json

import pytest

from sandbox_workers import Sandbox, attacks, isolation

ATTACKS = attacks.load()


def test_the_suite_is_large_and_names_are_unique() -> None:
    names = {(attack.category, attack.name) for attack in ATTACKS}
    assert len(names) == len(ATTACKS) >= 230
    assert {attack.category for attack in ATTACKS} == {
        "escape", "files", "forging", "forging_through_tests", "network", "next_program", "processes", "resources",
    }  # fmt: skip


def test_the_honest_program_passes(sandbox: Sandbox) -> None:
    assert sandbox.run(attacks.HONEST, attacks.SUITE).ok


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.category}-{attack.name}")
def test_attack_holds(sandbox: Sandbox, attack: attacks.Attack) -> None:
    (result,) = attacks.run_all(sandbox, lambda other: other is attack or other == attack)
    assert result.problem == "", result.verdict


JUDGED = """
def check(candidate):
    for n, answer in {1: 7919, 2: 104729, 3: 1299709}.items():
        assert candidate(n) == answer
"""


@pytest.mark.parametrize("mode", ["judge", "shared"])
def test_forging_does_not_pass_in_the_other_modes_either(strict_sandbox: Sandbox, mode: str) -> None:
    extra = "    candidate(len)\n" if mode == "shared" else ""
    suite = attacks.TestSuite("check", tests=(JUDGED.replace("    for", extra + "    for"),), entry_point="f")
    honest = strict_sandbox.run(attacks.HONEST.replace("[n]", ".get(n)"), suite)
    assert (honest.status, honest.shared) == ("passed", mode == "shared")
    for attack in ATTACKS:
        if attack.category == "forging" and not (mode == "shared" and attack.name in SHARED_CANNOT_HOLD):
            verdict = strict_sandbox.run(attack.program, suite, limits=attacks.LIMITS)
            assert not verdict.ok, attack.name
            assert verdict.status != "sandbox_error", attack.name


SHARED_CANNOT_HOLD = {"read_frames", "rewrite_code_object", "small_int_corruption"}
"""In the program's process nothing is out of its reach: why verdicts say ``shared``."""


def test_installed_packages_are_there_only_for_programs_that_were_given_them() -> None:
    look = "import json, os, sys\nprint([os.listdir(path) for path in json.loads(input()) if os.path.isdir(path)])\n"
    with Sandbox(packages=("numpy",)) as sandbox:
        shown = sandbox.execute(look, json.dumps(isolation.hidden_paths(isolation.readable_paths(())))).stdout
        assert set(itertools.chain(*ast.literal_eval(shown))) <= {"numpy", "numpy.libs"}
        assert sandbox.execute("import numpy\nprint(numpy.ones(3).sum())").stdout == "3.0\n"
        assert "ModuleNotFoundError" in sandbox.execute("import hypothesis").stderr
