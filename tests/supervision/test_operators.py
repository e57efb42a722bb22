"""Every operator makes what its own examples say."""

import libcst as cst
import pytest

from prl_ray.supervision.canonical import canonical
from prl_ray.supervision.operators import OPERATORS
from prl_ray.supervision.sites import collect

CASES = [(name, before, after) for name, operator in OPERATORS.items() for before, after in operator.examples]


def outcomes(name: str, before: str) -> set[str]:
    operator = OPERATORS[name]
    found = set()
    for site in collect(cst.parse_module(canonical(before))):
        if isinstance(site.node, operator.nodes):
            found |= {canonical(site.replaced(edit).code) for edit in operator.edit(site)}
    return found


@pytest.mark.parametrize(("name", "before", "after"), CASES)
def test_examples(name: str, before: str, after: str) -> None:
    assert canonical(after) in outcomes(name, before)


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_every_operator_explains_itself(name: str) -> None:
    operator = OPERATORS[name]
    assert operator.examples and operator.description.endswith((".", ")."))
