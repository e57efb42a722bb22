"""Refactorings of variables: renamed, added or removed.

New names are ordinary ones. They occur in refactorings and, because mutations are also applied to refactored programs,
in wrong programs too, so that a name does not reveal a label.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import libcst as cst

from prl_ray.supervision.operators.build import body_of, code, small, with_body
from prl_ray.supervision.operators.registry import refactoring
from prl_ray.supervision.sites import Site, children, substituted, target_names, variables

RESULTS = ("result", "res", "out", "answer", "value", "output", "temp", "ret", "ans")
COLLECTIONS = ("values", "items", "ys", "result", "data", "kept", "out", "res")
LOOP_VARIABLES = ("x", "y", "v", "item", "n", "e", "k", "w", "element", "val", "num", "ch")


def is_function_body(site: Site) -> bool:
    """Whether a block is the body of a function."""
    return isinstance(site.node, cst.IndentedBlock) and site.within((cst.FunctionDef, "body"))


def _own_variables(site: Site) -> list[str]:
    """Variables that a function's body binds, without parameters and ``global`` names."""
    nested = {name for node in _below(site.node) if isinstance(node, cst.NameItem) for name in [node.name.value]}
    return [n for n, order in site.scope.bindings.items() if order > site.order and n not in nested and n != "_"]


def _below(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    yield node
    for _, _, child in children(node):
        yield from _below(child)


@refactoring(
    cst.IndentedBlock,
    examples=[("def f(a):\n    total = a + 1\n    return total", "def f(a):\n    result = a + 1\n    return result")],
    weight=1.5,
)
def rename_local(site: Site) -> Iterator[cst.CSTNode]:
    """A local variable is renamed everywhere."""
    if is_function_body(site):
        for old in _own_variables(site):
            loop = any(isinstance(n, cst.For) and old in target_names(n.target) for n in _below(site.node))
            for new in site.free_names(LOOP_VARIABLES if loop else RESULTS)[:3]:
                yield substituted(site.node, old, cst.Name(new))


@refactoring(
    cst.ListComp,
    cst.SetComp,
    cst.GeneratorExp,
    cst.DictComp,
    cst.Lambda,
    examples=[("[x + 1 for x in a]", "[y + 1 for y in a]"), ("lambda x: x + 1", "lambda y: y + 1")],
)
def rename_bound(site: Site) -> Iterator[cst.CSTNode]:
    """The variable of a comprehension or a lambda is renamed."""
    node = site.node
    if isinstance(node, cst.Lambda):
        names = [p.name.value for p in node.params.params]
    else:
        assert isinstance(node, cst.ListComp | cst.SetComp | cst.GeneratorExp | cst.DictComp)
        names = target_names(node.for_in.target)
        if any(name in names for name in variables(node.for_in.iter)):
            return  # ``[x for x in x]``: the source is another variable
    for old in names:
        for new in site.free_names(LOOP_VARIABLES)[:3]:
            yield substituted(node, old, cst.Name(new))


@refactoring(
    cst.IndentedBlock,
    examples=[("def f(a):\n    a = a + 1\n    return a * 2", "def f(a):\n    result = a + 1\n    return result * 2")],
    weight=1.5,
)
def split_variable(site: Site) -> Iterator[cst.CSTNode]:
    """A reassigned variable is replaced by a new variable from there on."""
    if not is_function_body(site):
        return
    body = body_of(site.node)
    for i, statement in enumerate(body[:-1]):
        name = assigned_name(statement)
        parameter = site.scope.bindings.get(name, site.order) < site.order
        if not name or not (parameter or any(assigned_name(earlier) == name for earlier in body[:i])):
            continue
        assignment = small(statement)
        assert isinstance(assignment, cst.Assign)
        plural = isinstance(assignment.value, cst.ListComp | cst.List | cst.Subscript | cst.Call)
        for new in site.free_names(COLLECTIONS if plural else RESULTS)[:3]:
            renamed = assignment.with_changes(targets=[cst.AssignTarget(cst.Name(new))])
            rest = _until_rebound(body[i + 1 :], name, cst.Name(new))
            yield with_body(site.node, [*body[:i], cst.SimpleStatementLine([renamed]), *rest])


def _until_rebound(body: Sequence[cst.BaseStatement], old: str, new: cst.Name) -> list[cst.BaseStatement]:
    """The statements with ``old`` renamed until one of them assigns it again."""
    done: list[cst.BaseStatement] = []
    for i, statement in enumerate(body):
        if assigned_name(statement) == old:
            assignment = small(statement)
            assert isinstance(assignment, cst.Assign)
            value = substituted(assignment.value, old, new)
            done.append(cst.SimpleStatementLine([assignment.with_changes(value=value)]))
            return [*done, *body[i + 1 :]]
        done.append(substituted(statement, old, new))  # type: ignore[arg-type]
    return done


def assigned_name(statement: cst.CSTNode) -> str:
    """The variable of a plain ``name = value``, else an empty string."""
    node = small(statement)
    if isinstance(node, cst.Assign) and len(node.targets) == 1 and isinstance(node.targets[0].target, cst.Name):
        return node.targets[0].target.value
    return ""


@refactoring(
    cst.IndentedBlock,
    examples=[
        ("def f(a):\n    return a + 1", "def f(a):\n    result = a + 1\n    return result"),
        ("def f(a):\n    b = sum(sorted(a))", "def f(a):\n    values = sorted(a)\n    b = sum(values)"),
    ],
)
def temporary_outlined(site: Site) -> Iterator[cst.CSTNode]:
    """A value, or the argument of a call, gets a name before it is used."""
    body = body_of(site.node)
    for i, statement in enumerate(body):
        node = small(statement)
        value = node.value if isinstance(node, cst.Return | cst.Assign) else None
        if node is None or value is None:
            continue
        if isinstance(node, cst.Return) and not isinstance(value, cst.Name | cst.Integer | cst.SimpleString):
            for new in site.free_names(RESULTS)[:3]:
                yield _with_temporary(site, i, new, value, node.with_changes(value=cst.Name(new)))
        if isinstance(value, cst.Call) and len(value.args) == 1 and isinstance(value.args[0].value, _COMPLEX):
            for new in site.free_names(COLLECTIONS)[:2]:
                call = value.with_changes(args=[cst.Arg(cst.Name(new))])
                yield _with_temporary(site, i, new, value.args[0].value, node.with_changes(value=call))


_COMPLEX = (cst.Call, cst.ListComp, cst.BinaryOperation, cst.Subscript)


def _with_temporary(
    site: Site, index: int, name: str, value: cst.BaseExpression, use: cst.BaseSmallStatement
) -> cst.CSTNode:
    body = body_of(site.node)
    assignment = cst.Assign([cst.AssignTarget(cst.Name(name))], value)
    lines = [cst.SimpleStatementLine([assignment]), cst.SimpleStatementLine([use])]
    return with_body(site.node, [*body[:index], *lines, *body[index + 1 :]])


@refactoring(
    cst.IndentedBlock,
    examples=[
        ("def f(a):\n    b = a + 1\n    return b * 2", "def f(a):\n    return (a + 1) * 2"),
        ("def f(a):\n    a = sorted(a)\n    return a[0]", "def f(a):\n    return sorted(a)[0]"),
    ],
)
def temporary_inlined(site: Site) -> Iterator[cst.CSTNode]:
    """A variable that is used once, in the next statement, is inlined."""
    body = body_of(site.node)
    for i in range(len(body) - 1):
        name, use = assigned_name(body[i]), small(body[i + 1])
        if not name or use is None or list(variables(use)).count(name) != 1 or assigned_name(body[i + 1]) == name:
            continue
        if any(name in variables(later) for later in body[i + 2 :]) and is_function_body(site):
            continue
        assignment = small(body[i])
        assert isinstance(assignment, cst.Assign)
        value = cst.parse_expression(f"({code(assignment.value)})")
        inlined = cst.SimpleStatementLine([substituted(use, name, value)])  # type: ignore[list-item]
        yield with_body(site.node, [*body[:i], inlined, *body[i + 2 :]])
