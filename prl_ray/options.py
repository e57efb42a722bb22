"""A configuration field that explains and bounds itself."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import Field, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from prl_ray.errors import ConfigError
from prl_ray.plugins import Bounds, Registry, imported

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
Params = dict[str, Any]
"""Parameters of a plug-in in a configuration. OmegaConf accepts ``Any`` for values of any kind, but not ``object``."""


def option(
    default: T,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    registry: str = "",
) -> T:
    """A field: its default, the sentence that explains it, and what it may be: a number within bounds, one of some
    choices, or an entry of a registry (a name or an import path). ``registry`` is the import path of that registry, so
    that a schema does not import what it chooses from."""
    metadata = {"text": text, "bounds": Bounds(low, high, tuple(choices)), "registry": registry}
    metadata["mapping"] = isinstance(default, dict)
    if isinstance(default, list | dict):
        return field(default_factory=lambda: copy.copy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def choices_of(spec: Field[object]) -> tuple[str, ...]:
    """The words that an option may be; empty where any will do."""
    bounds: Bounds = spec.metadata["bounds"]
    return tuple(_registry(spec)) if spec.metadata["registry"] else bounds.choices


def _registry(spec: Field[object]) -> Registry[object]:
    found = imported(spec.metadata["registry"])
    assert isinstance(found, Registry)
    return found


def chosen(config: DataclassInstance, name: str) -> object:
    """The entry of the registry that the option ``name`` of a dataclass chooses from. Raises ``ConfigError`` where
    there is none."""
    (spec,) = (spec for spec in fields(config) if spec.name == name)
    return _registry(spec).find(getattr(config, name))


def check_option(path: str, spec: Field[object], value: object) -> None:
    """Raises ``ConfigError`` where the option ``path`` may not have this value: out of bounds, no finite number, none
    of the choices, or no entry of its registry. The numbers of a list or a mapping must be finite too."""
    if spec.metadata["registry"]:
        try:
            _registry(spec).find(str(value))
        except ConfigError as error:
            raise ConfigError(f"config: {path}={value}: {error}") from error
        return
    if isinstance(value, Mapping):
        for name, part in value.items():
            Bounds().check(f"{path}.{name}", part)
        return
    if isinstance(value, list | tuple):
        for part in value:
            Bounds().check(path, part)
        return
    bounds: Bounds = spec.metadata["bounds"]
    bounds.check(path, value)


def check_options(config: DataclassInstance, prefix: str) -> None:
    """``check_option`` of every option of a dataclass that is used on its own; ``prefix`` as in ``teacher.``."""
    for spec in fields(config):
        check_option(f"{prefix}{spec.name}", spec, getattr(config, spec.name))
