"""The function of a program that a suite names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Namespace = dict[str, Any]
"""The names of a program or of tests; their values are of any type."""


def find_function(name: str, namespace: Namespace) -> Callable[..., object]:
    """The program's function of that name: at the top, or a method of a class without arguments (``Solution.f``, also
    written ``Solution().f``).
    """
    name = name.replace("()", "")
    owner, _, method = name.rpartition(".")
    owner = owner or "Solution"
    if name not in namespace and owner not in namespace:
        raise NameError(f"name {name!r} is not defined")
    found: Callable[..., object] = namespace[name] if name in namespace else getattr(namespace[owner](), method)
    return found
