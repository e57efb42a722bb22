"""Runs tests beside the program, in its process: for the few suites whose tests handle the program's own objects.

This way is weaker than the others, and the verdict says so. What it has instead: the tests arrive after the program has
been loaded, with a secret made for this run; every test must report with the secret; comparisons with literals ask no
method of the program's objects.

Messages: ``["loaded"]``, then for each test ``[secret, "pass" | "fail", test, kind, line, message]``.
"""

from __future__ import annotations

import marshal
from types import CodeType
from typing import Any

from .. import plain, wire

EQUAL_HELPER = "__plain_equal__"
"""Name under which test code finds ``plain_equal``."""


def plain_equal(left: object, right: object) -> bool:
    """Whether two values are equal: by built-in types only as soon as one of them is plain data.

    Two objects of the program's own are compared by the program's own methods.
    """
    trees = [_tree(left), _tree(right)]
    if _OBJECT in trees:
        return trees == [_OBJECT, _OBJECT] and bool(left == right)
    return bool(plain.decode(trees[0]) == plain.decode(trees[1]))


_OBJECT = "an object of the program's own", None


def _tree(value: object) -> Any:
    try:
        return plain.encode(value)
    except plain.NotPlainError:
        return _OBJECT


def run_tests(reporter: Any, channel: int, namespace: dict[str, Any], stop_at_first_failure: bool) -> None:
    """Say that the program is loaded, read the tests, run them in its namespace."""
    from .runner import failure

    reporter.send(["loaded"])
    secret, body = marshal.loads(wire.read_frame(channel))
    setup, tests, entry_point = marshal.loads(body)
    namespace[EQUAL_HELPER] = plain_equal
    try:
        if setup is not None:
            exec(setup, namespace)
    except BaseException as error:
        reporter.send([secret, "fail", 0, *failure(error)])
        return
    for number, test in enumerate(tests):
        try:
            _run_test(test, namespace, entry_point)
        except BaseException as error:
            reporter.send([secret, "fail", number, *failure(error)])
            if stop_at_first_failure:
                return
        else:
            reporter.send([secret, "pass", number, "", None, ""])


def _run_test(test: CodeType, namespace: dict[str, Any], entry_point: str) -> None:
    """Run one assert, or define ``check`` and call it with the program's function."""
    from .runner import find_function

    candidate = find_function(entry_point, namespace) if entry_point else None
    exec(test, namespace)
    if entry_point:
        namespace["check"](candidate)
