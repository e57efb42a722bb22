"""Places at which a program has the values with which a reference goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prl_ray.credit.trace import Trace
from prl_ray.supervision.completions import Anchor
from prl_ray.supervision.differences import Texts, joined
from prl_ray.supervision.names import Renames, bound_names, mentioned


def anchors(program: str, own: Trace, reference: Texts, there: Trace, number: int = 0) -> Iterator[Anchor]:
    """The anchors of a program in a reference with the lines ``reference`` and the trace ``there``, longest first.

    On each input that comes to the program's line, each variable that the rest of the reference reads has its value in
    one of the program's variables. Variables that the rest binds anew get the program's names for its own new ones, in
    the order of the texts.
    """
    own_order, order = bound_names(program), bound_names(joined(reference))
    reads = [mentioned(joined(reference[skipped:])) for skipped in range(len(reference) + 1)]
    for kept in range(len(own.states), 0, -1):
        own_new = _unknown(own_order, own, kept - 1)
        for skipped in range(1, len(there.states) + 1):
            read = [name for name in order if name in reads[skipped]]
            names = _same_values(own, kept - 1, there, skipped - 1, read, own_order)
            if names is not None:
                new = _unknown(order, there, skipped - 1)
                yield Anchor(kept, skipped, number, with_new_names(names, new, own_new))


def with_new_names(names: dict[str, str], new: Sequence[str], own_new: Sequence[str]) -> Renames:
    """``names``, and for variables that are bound later the program's: the same name if both have it, else in order."""
    others = [name for name in new if name not in own_new]
    own_others = [name for name in own_new if name not in new]
    pairs = [*names.items(), *zip(others, own_others, strict=False)]
    return tuple((old, own) for old, own in pairs if old != own)


def _unknown(names: Sequence[str], trace: Trace, line: int) -> list[str]:
    """Those that have no value after a line."""
    known = {name for variables in trace.variables[line] for name in variables}
    return [name for name in names if name not in known]


def _same_values(
    own: Trace, line: int, there: Trace, other: int, order: Sequence[str], own_order: Sequence[str]
) -> dict[str, str] | None:
    """The program's variable for each variable of the reference that is read later; None if one is missing."""
    state = own.states[line]
    inputs = [at for at, text in enumerate(state or ()) if text]
    pairs = [(own.variables[line][at], there.variables[other][at]) for at in inputs]
    if not pairs or not all(mine and theirs for mine, theirs in pairs):
        return None
    names: dict[str, str] = {}
    for name in order:
        if not any(name in theirs for _, theirs in pairs):
            continue
        same = [n for n in own_order if all(mine.get(n, "") == theirs.get(name) for mine, theirs in pairs)]
        if not same:
            return None
        free = [n for n in same if n not in names.values()] or same
        names[name] = name if name in same else free[0]
    return names
