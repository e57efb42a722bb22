"""Mutations of names: the wrong variable, argument, key or attribute."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from prl_ray.supervision.operators.build import method_name, string_value
from prl_ray.supervision.operators.registry import mutation
from prl_ray.supervision.sites import BUILTIN_NAMES, Site, children, is_loaded_variable


@mutation(
    cst.Name,
    examples=[
        ("def f(a, b):\n    return a + b", "def f(a, b):\n    return a + a"),
        ("def f(a, b):\n    return [x for x in a]", "def f(a, b):\n    return [a for x in a]"),
    ],
    weight=2.0,
)
def variable_misuse(site: Site) -> Iterator[cst.CSTNode]:
    """Another variable that is bound at this place is read."""
    node = site.node
    assert isinstance(node, cst.Name)
    if not is_loaded_variable(site) or node.value in BUILTIN_NAMES or site.within((cst.Call, "func")):
        return
    if node.value not in site.scope.bindings and node.value not in site.extra:
        return  # a global: a module or a function
    for other in site.visible_names():
        if other != node.value and other != "_":
            yield cst.Name(other)


@mutation(cst.Assign, cst.AugAssign, examples=[("def f(a, b):\n    a = 1", "def f(a, b):\n    b = 1")], weight=0.4)
def wrong_target(site: Site) -> Iterator[cst.CSTNode]:
    """The value is stored in another variable."""
    node = site.node
    assert isinstance(node, cst.Assign | cst.AugAssign)
    target = node.targets[0].target if isinstance(node, cst.Assign) else node.target
    if not isinstance(target, cst.Name):
        return
    for other in site.visible_names():
        if other not in (target.value, "_"):
            name = cst.Name(other)
            changed = {"targets": [cst.AssignTarget(name)]} if isinstance(node, cst.Assign) else {"target": name}
            yield node.with_changes(**changed)


@mutation(cst.Call, examples=[("f(a, b)", "f(b, a)"), ("a.replace('x', 'y')", "a.replace('y', 'x')")])
def argument_swap(site: Site) -> Iterator[cst.CSTNode]:
    """Two neighbouring arguments are swapped."""
    node = site.node
    assert isinstance(node, cst.Call)
    for i in range(len(node.args) - 1):
        left, right = node.args[i], node.args[i + 1]
        if left.keyword is None and right.keyword is None and not left.star and not right.star:
            swapped = [left.with_changes(value=right.value), right.with_changes(value=left.value)]
            yield node.with_changes(args=[*node.args[:i], *swapped, *node.args[i + 2 :]])


@mutation(
    cst.Subscript,
    examples=[("a = {'x': 1, 'y': 2}\nb = a['x']", "a = {'x': 1, 'y': 2}\nb = a['y']")],
)
def key_change(site: Site) -> Iterator[cst.CSTNode]:
    """Another key that the program uses is looked up."""
    node = site.node
    assert isinstance(node, cst.Subscript)
    if len(node.slice) != 1 or not isinstance(node.slice[0].slice, cst.Index):
        return
    value = string_value(node.slice[0].slice.value)
    if value is None:
        return
    for other in sorted(_keys(site) - {value}):
        index = cst.Index(cst.SimpleString(repr(other)))
        yield node.with_changes(slice=[cst.SubscriptElement(index)])


@mutation(
    cst.Attribute,
    examples=[
        (
            "class A:\n    def f(self):\n        self.a = 1\n        self.b = 2\n        return self.a",
            "class A:\n    def f(self):\n        self.a = 1\n        self.b = 2\n        return self.b",
        )
    ],
)
def attribute_change(site: Site) -> Iterator[cst.CSTNode]:
    """Another attribute of the same object is read or written."""
    node = site.node
    assert isinstance(node, cst.Attribute)
    if site.within((cst.Call, "func")) or not isinstance(node.value, cst.Name):
        return
    owner, found, called = node.value.value, set(), set()
    for below in _below(site.root):
        if isinstance(below, cst.Attribute) and isinstance(below.value, cst.Name) and below.value.value == owner:
            found.add(below.attr.value)
        called.add(method_name(below))
    for other in sorted(found - {node.attr.value} - called):
        yield node.with_changes(attr=cst.Name(other))


@mutation(
    cst.Tuple,
    examples=[
        ("for i, x in enumerate(a):\n    b(i)", "for x, i in enumerate(a):\n    b(i)"),
        ("a, b = b, a", "b, a = b, a"),
        ("[k for k, v in d.items()]", "[k for v, k in d.items()]"),
    ],
    weight=0.7,
)
def unpacking_swap(site: Site) -> Iterator[cst.CSTNode]:
    """Two neighbouring names of an unpacking are swapped."""
    node = site.node
    assert isinstance(node, cst.Tuple)
    if site.name != "target":
        return
    for i in range(len(node.elements) - 1):
        left, right = node.elements[i], node.elements[i + 1]
        if isinstance(left, cst.Element) and isinstance(right, cst.Element):
            swapped = [left.with_changes(value=right.value), right.with_changes(value=left.value)]
            yield node.with_changes(elements=[*node.elements[:i], *swapped, *node.elements[i + 2 :]])


def _below(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    yield node
    for _, _, child in children(node):
        yield from _below(child)


def _keys(site: Site) -> set[str]:
    """String keys that the module uses in subscripts and dictionaries."""
    found: set[str] = set()
    for node in _below(site.root):
        if isinstance(node, cst.Index):
            value = string_value(node.value)
        elif isinstance(node, cst.DictElement):
            value = string_value(node.key)
        else:
            continue
        if value is not None:
            found.add(value)
    return found
