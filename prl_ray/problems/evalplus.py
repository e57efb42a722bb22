"""``humaneval_plus`` and ``mbpp_plus``: EvalPlus (Liu et al. 2023, arXiv 2305.01210), many more tests for each problem.

Read in the hub's format (``evalplus/humanevalplus``, ``evalplus/mbppplus``): ``test`` holds the lists ``inputs`` and
``results``, and compares them with a tolerance where floats are expected. If the lists are literals, each pair becomes
one test that is decided outside the program; else ``test`` runs, with a comparison that needs no numpy. For evaluation
only.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from typing import TypedDict

from prl_ray.errors import DataError
from prl_ray.problems.humaneval import INSTRUCTION, HumanEvalRecord
from prl_ray.problems.problem import Problem, Split
from prl_ray.problems.published import records
from prl_ray.problems.records import clean_source, required_function
from sandbox_workers import Case, TestSuite
from sandbox_workers.suite import literal

HUMANEVAL_PLUS, MBPP_PLUS = "evalplus/humanevalplus", "evalplus/mbppplus"
ABS_TOLERANCE, REL_TOLERANCE = 1e-6, 1e-7
"""EvalPlus's tolerances for expected floats: its absolute one, and the relative one of its ``assert_allclose``."""
_COMPARISON = f"""\
def is_floats(x):
    if isinstance(x, (list, tuple)):
        return bool(x) and all(isinstance(item, float) for item in x)
    return isinstance(x, float)

def is_near(out, exp, atol):
    if isinstance(exp, (list, tuple)):
        return len(out) == len(exp) and all(is_near(one, other, atol) for one, other in zip(out, exp))
    return out == exp or abs(out - exp) <= atol + {REL_TOLERANCE} * abs(exp)

def assertion(out, exp, atol):
    if atol == 0 and is_floats(exp):
        atol = {ABS_TOLERANCE}
    assert out == exp or (atol != 0 and is_near(out, exp, atol))
"""
"""EvalPlus's functions of these names without numpy, which sandboxes need not have."""


class MbppPlusRecord(TypedDict):
    """One row of ``evalplus/mbppplus``."""

    task_id: int | str
    code: str
    prompt: str
    test_list: list[str]
    test: str


def load_humaneval_plus(
    path: str = "", split: Split = "test", limit: int | None = None, seed: int = 0
) -> list[Problem]:
    """HumanEval+ in the data set's order; ``code_prefix`` is HumanEval's own prompt.

    Raises:
        DataError: another split than ``test``, no such file, no network, or a record without the data set's fields.
    """
    _only_test("humaneval_plus", split)
    found = records(path, HUMANEVAL_PLUS, HumanEvalRecord)
    return [_humaneval(record) for _, (_, record) in zip(range(limit or 1 << 30), found, strict=False)]


def load_mbpp_plus(path: str = "", split: Split = "test", limit: int | None = None, seed: int = 0) -> list[Problem]:
    """MBPP+ in the data set's order; the prompt shows MBPP's own asserts.

    Raises:
        DataError: another split than ``test``, no such file, no network, or a record without the data set's fields.
    """
    _only_test("mbpp_plus", split)
    found = records(path, MBPP_PLUS, MbppPlusRecord)
    return [_mbpp(where, record) for _, (where, record) in zip(range(limit or 1 << 30), found, strict=False)]


def _only_test(name: str, split: Split) -> None:
    if split != "test":
        raise DataError(f"{name} is for evaluation only and has no split {split!r}; ask for split 'test'")


def _humaneval(record: HumanEvalRecord) -> Problem:
    code_prefix = record["prompt"].replace("\r\n", "\n")
    entry_point = record["entry_point"]
    whole = TestSuite(kind="check", tests=(_without_numpy(record["test"]),), entry_point=entry_point)
    return Problem(
        task_id=f"{record['task_id']}+",
        prompt=INSTRUCTION,
        entry_point=entry_point,
        tests=_pairs_suite(record["test"], entry_point) or whole,
        references=(clean_source(code_prefix + record["canonical_solution"]),),
        split="test",
        code_prefix=code_prefix,
    )


def _mbpp(where: str, record: MbppPlusRecord) -> Problem:
    reference = clean_source(record["code"])
    shown = tuple(clean_source(test) for test in record["test_list"])
    entry_point = required_function(shown, reference, where)
    test = record["test"]
    if "candidate(" in test and "candidate =" not in test:  # as in the first versions
        test = test.replace("candidate(", f"{entry_point}(")
    whole = TestSuite(kind="assert", tests=(_without_numpy(test),), entry_point=entry_point)
    asserts = "\n".join(shown)
    return Problem(
        task_id=f"mbpp/{record['task_id']}+",
        prompt=f"{record['prompt'].strip()}\nYour code has to satisfy:\n{asserts}",
        entry_point=entry_point,
        tests=_pairs_suite(test, entry_point) or whole,
        references=(reference,),
        split="test",
    )


def _pairs_suite(test: str, entry_point: str) -> TestSuite | None:
    """The pairs of a test as a suite that is decided outside the program; None if it does more than compare
    literals."""
    found = _literal_lists(test, entry_point)
    if found is None:
        return None
    inputs, results, atol = found
    if atol or any(map(_is_floats, results)):
        cases = tuple(Case(tuple(given), result) for given, result in zip(inputs, results, strict=True))
        tolerance = f"floats({atol or ABS_TOLERANCE}, {REL_TOLERANCE})"
        return TestSuite(kind="call", entry_point=entry_point, cases=cases, compare=tolerance)
    asserts = (
        f"assert {entry_point}({', '.join(map(literal, given))}) == {literal(result)}"
        for given, result in zip(inputs, results, strict=True)
    )
    return TestSuite(kind="assert", tests=tuple(asserts), entry_point=entry_point)


def _without_numpy(test: str) -> str:
    """The test with a comparison of its own, where it needs numpy for that alone."""
    source = clean_source(test)
    tree = ast.parse(source)
    kept = [node for node in tree.body if not _is_of_comparison(node)]
    if len(kept) == len(tree.body) or any("np." in ast.unparse(node) for node in kept):
        return source
    return f"{_COMPARISON}\n{ast.unparse(ast.Module(kept, []))}"


def _is_of_comparison(node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef):
        return node.name in ("is_floats", "assertion")
    return isinstance(node, ast.Import) and [alias.name for alias in node.names] == ["numpy"]


class _Infinity(ast.NodeTransformer):
    """Reads the name ``inf`` as the number that it stands for in these tests."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(math.inf) if node.id == "inf" else node


def _literal_lists(test: str, entry_point: str) -> tuple[list[list[object]], list[object], float] | None:
    """``inputs`` and ``results`` of a test that only calls ``assertion`` on each pair in a loop, and the tolerance
    there."""
    lists: dict[str, object] = {}
    atol = 0.0
    for node in ast.walk(ast.parse(test)):
        match node:
            case ast.Assign(targets=[ast.Name(id="inputs" | "results" as name)], value=value):
                try:
                    lists[name] = ast.literal_eval(_Infinity().visit(value))
                except (ValueError, SyntaxError, TypeError):
                    return None
            case ast.Call(
                func=ast.Name(id="assertion"), args=[called, ast.Name(), ast.Constant(value=int() | float())]
            ):
                if not _calls_with_all(called, ("candidate", entry_point)):
                    return None
                lists["assertion"], atol = True, float(ast.literal_eval(node.args[2]))
    inputs, results = lists.get("inputs"), lists.get("results")
    if not lists.get("assertion") or not isinstance(inputs, list) or not isinstance(results, list):
        return None
    return (inputs, results, atol) if len(inputs) == len(results) and inputs else None


def _calls_with_all(node: ast.expr, names: Sequence[str]) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=name), args=[ast.Starred()], keywords=[]):
            return name in names
    return False


def _is_floats(value: object) -> bool:
    """Whether EvalPlus compares the value with a tolerance: a float, or a list or tuple of floats."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(item, float) for item in value)
    return isinstance(value, float)
