"""The function of a program that a suite names."""

from __future__ import annotations

from typing import Any


def find_function(name: str, namespace: dict[str, Any]) -> Any:
    """The program's function of that name: at the top, or a method of a class without arguments (``Solution.f``, also
    written ``Solution().f``).
    """
    name = name.replace("()", "")
    if name in namespace:
        return namespace[name]
    owner, _, method = name.rpartition(".")
    owner = owner or "Solution"
    if owner not in namespace:
        raise NameError(f"name {name!r} is not defined")
    return getattr(namespace[owner](), method)
