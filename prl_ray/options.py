"""Configuration fields with an explanation and bounds."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import Field, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from prl_ray.errors import ConfigError
from prl_ray.plugins import Bounds, Registry, imported

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
Params = dict[str, Any]
"""Parameters of a plug-in. OmegaConf accepts ``Any`` as the type of arbitrary values, but not ``object``."""


def option(
    default: T,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    registry: str = "",
) -> T:
    """A field with its default, its explanation, and its allowed values: a number within bounds, one of ``choices``, or
    an entry of a registry (a name or an import path). ``registry`` is the import path of the registry, so that the
    schema does not import it."""
    metadata = {"text": text, "bounds": Bounds(low, high, tuple(choices)), "registry": registry}
    metadata["mapping"] = isinstance(default, dict)
    if isinstance(default, list | dict):
        return field(default_factory=lambda: copy.copy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def choices_of(spec: Field[object]) -> tuple[str, ...]:
    """The allowed words of an option; empty if any is allowed."""
    bounds: Bounds = spec.metadata["bounds"]
    return tuple(_registry(spec)) if spec.metadata["registry"] else bounds.choices


def _registry(spec: Field[object]) -> Registry[object]:
    found = imported(spec.metadata["registry"])
    assert isinstance(found, Registry)
    return found


def chosen(config: DataclassInstance, name: str) -> object:
    """The registry entry that the option ``name`` of a dataclass selects. Raises ``ConfigError`` if it does not
    exist."""
    (spec,) = (spec for spec in fields(config) if spec.name == name)
    return _registry(spec).find(getattr(config, name))


def plugin_modules(config: DataclassInstance) -> set[str]:
    """The modules of the user's own entries that the options of a dataclass and of its groups select; built-in ones
    have none."""
    selected = [(spec, getattr(config, spec.name)) for spec in fields(config) if spec.metadata.get("registry")]
    found = {_registry(spec).module(str(value)) for spec, value in selected}
    groups = [group for spec in fields(config) if is_dataclass(group := getattr(config, spec.name))]
    return found.union(*(plugin_modules(group) for group in groups if not isinstance(group, type))) - {""}


def check_option(path: str, spec: Field[object], value: object) -> None:
    """Raises ``ConfigError`` if the value of the option ``path`` is out of bounds, not finite, not one of the choices,
    or not an entry of its registry. Numbers in a list or a mapping must be finite too."""
    if spec.metadata["registry"]:
        try:
            _registry(spec).find(str(value))
        except ConfigError as error:
            raise ConfigError(f"config: {path}={value}: {error}") from error
        return
    if isinstance(value, Mapping | list | tuple):
        Bounds().check(path, value)
        return
    bounds: Bounds = spec.metadata["bounds"]
    bounds.check(path, value)


def check_options(config: DataclassInstance, prefix: str) -> None:
    """Calls ``check_option`` on every option of a dataclass; ``prefix`` is its path, such as ``teacher.``."""
    for spec in fields(config):
        check_option(f"{prefix}{spec.name}", spec, getattr(config, spec.name))
