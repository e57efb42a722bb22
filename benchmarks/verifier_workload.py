"""The programs of the verifier's benchmarks: MBPP references with their asserts, and mutants of them."""

from __future__ import annotations

import ast
import copy
import json
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sandbox_workers import TestSuite

MBPP = Path(__file__).resolve().parents[1] / "data" / "mbpp.jsonl"
SHARED_MBPP = Path(__file__).resolve().parents[2] / "shared" / "data" / "mbpp.jsonl"
TRAIN = range(601, 975)
PLAIN_BYTES = 2 << 30


class Reference(NamedTuple):
    task: int
    program: str
    suite: TestSuite


def references(path: Path | None = None) -> list[Reference]:
    """All of MBPP, in the order of the file."""
    found = path or next((place for place in (MBPP, SHARED_MBPP) if place.exists()), MBPP)
    if not found.exists():
        raise SystemExit(f"MBPP (mbpp.jsonl, 974 problems) is not at {found}: put it or a link to it there")
    return [_reference(json.loads(line)) for line in found.read_text(encoding="utf-8").splitlines()]


def _reference(row: dict) -> Reference:
    setup, *tests = (text.replace("\r\n", "\n") for text in (row["test_setup_code"], *row["test_list"]))
    return Reference(row["task_id"], row["code"], TestSuite("assert", setup=setup, tests=tuple(tests)))


def plain_source(program: str, suite: TestSuite) -> str:
    """One plain script that runs the program and its asserts."""
    check = f"check({suite.entry_point})\n" if suite.kind == "check" else ""
    return "\n".join([program, suite.setup, *suite.tests, check])


def plain_run(program: str, suite: TestSuite, timeout_s: float = 10) -> bool | None:
    """Whether a program and its tests end well in a fresh interpreter; None if that takes too long."""
    command = [sys.executable, "-I", "-c", plain_source(program, suite)]
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(
            command, stdin=quiet, stdout=quiet, stderr=quiet, timeout=timeout_s, check=False, preexec_fn=_limit_memory
        )
    except subprocess.TimeoutExpired:
        return None
    return done.returncode == 0


def _limit_memory() -> None:
    """A mutant that appends for ever must not take the machine down."""
    resource.setrlimit(resource.RLIMIT_AS, (PLAIN_BYTES, PLAIN_BYTES))


_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
}


def mutants(program: str, count: int, dice: random.Random) -> Iterator[str]:
    """Up to ``count`` different one-node mutants."""
    tree = ast.parse(program.replace("\r\n", "\n"))
    places = [index for index, node in enumerate(ast.walk(tree)) if _mutable(node)]
    for index in dice.sample(places, min(count, len(places))):
        mutant = copy.deepcopy(tree)
        _mutate(next(node for number, node in enumerate(ast.walk(mutant)) if number == index), dice)
        yield ast.unparse(ast.fix_missing_locations(mutant))


def _mutable(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=int() | str()) | ast.Return(value=ast.expr()):
            return True
        case ast.Compare(ops=[comparison]):
            return type(comparison) in _COMPARISONS
        case ast.BinOp(op=operator) | ast.AugAssign(op=operator):
            return type(operator) in _OPERATORS
    return False


def _mutate(node: ast.AST, dice: random.Random) -> None:
    match node:
        case ast.Constant(value=bool(value)):
            node.value = not value
        case ast.Constant(value=int(value)):
            node.value = value + dice.choice((-1, 1))
        case ast.Constant(value=str(value)):
            node.value = value + "x"
        case ast.Return(value=ast.expr() as value):
            node.value = ast.Constant(None) if dice.random() < 0.3 else ast.Tuple([value], ast.Load())
        case ast.Compare(ops=[comparison]):
            node.ops = [_COMPARISONS[type(comparison)]()]
        case ast.BinOp(op=operator) | ast.AugAssign(op=operator):
            node.op = _OPERATORS[type(operator)]()
