"""Plug-in points: entries that a configuration selects by a registered name, or by the import path of your own code.

A :class:`Registry` holds the entries of one kind: reward shapings, controls, advantage estimators, policy losses,
problem sets, teacher operators, weight transports. A name in a configuration is looked up in this order:

- ``module:attribute``, an import path: ``reward.name=my_package.rewards:late_lines``. The working directory is searched
  too. On a cluster Ray carries such a module to all nodes, see ``prl_ray.actors.shipping``.
- a built-in name: ``reward.name=process_mean``;
- an entry point of an installed package, in the registry's group. In that package's ``pyproject.toml``::

      [project.entry-points."prl_ray.shapings"]
      late_lines = "my_package.rewards:late_lines"

An entry's own parameters are the keyword-only arguments of its function. They need a type and a default, and may carry
:class:`Bounds`; a configuration sets them under the registry's ``params`` key, and :func:`checked_params` validates
them::

    def late_lines(x: RewardInputs, *, after: Annotated[int, Bounds(low=0)] = 3) -> Floats: ...

    reward.name=my_package.rewards:late_lines reward.params.after=5
"""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, make_dataclass
from dataclasses import field as dataclass_field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Generic, NamedTuple, TypeVar, cast, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prl_ray.errors import ConfigError
from prl_ray.suggestions import did_you_mean

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds or choices of a value."""

    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def check(self, path: str, value: object) -> None:
        """Raises ``ConfigError`` if ``value`` of the key ``path`` is out of bounds, or a number in it is not finite."""
        for name, part in _members(value):
            Bounds().check(f"{path}{name}", part)
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"config: {path}={value} must be a finite number")
        if self.choices and value not in self.choices:
            raise ConfigError(f"config: {path}={value} is not one of {known(str(value), self.choices)}")
        if not isinstance(value, int | float):
            return
        if self.low is not None and value < self.low:
            raise ConfigError(f"config: {path}={value} is below its minimum {self.low:g}")
        if self.high is not None and value > self.high:
            raise ConfigError(f"config: {path}={value} is above its maximum {self.high:g}")


def _members(value: object) -> Iterator[tuple[str, object]]:
    """The members of a list or mapping, with what follows the path of each."""
    if isinstance(value, Mapping):
        yield from ((f".{name}", part) for name, part in value.items())
    elif isinstance(value, list | tuple):
        yield from ((f"[{i}]", part) for i, part in enumerate(value))


class Registry(Mapping[str, T], Generic[T]):
    """Name -> entry of one kind. Iterates over built-in names and the entry points of installed packages."""

    def __init__(
        self,
        what: str,
        group: str,
        entries: Mapping[str, T | str] | None = None,
        *,
        accepts: Callable[[object], bool] = callable,
        how: str = "it must be a function",
    ) -> None:
        """A string in ``entries`` is the import path of an entry, loaded on first use. ``accepts`` tests whether an
        object is a valid entry; ``how`` describes a valid one in error messages."""
        self.what, self.group, self._accepts, self._how = what, group, accepts, how
        self._entries: dict[str, T | str] = dict(entries or {})
        self._installed: dict[str, EntryPoint] | None = None

    def add(self, name: str, entry: T) -> T:
        """Registers an entry. Raises ``ValueError`` if the name is taken."""
        if name in self._entries:
            raise ValueError(f"two entries of the kind '{self.what}' are called {name}")
        self._entries[name] = entry
        return entry

    def __getitem__(self, name: str) -> T:
        if name in self._entries:
            entry = self._entries[name]
            return self._checked(entry, imported(entry)) if isinstance(entry, str) else entry
        if name in self._points():
            point = self._points()[name]
            return self._checked(point.value, imported(point.value))
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        yield from self._entries
        yield from (name for name in self._points() if name not in self._entries)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._points()

    def find(self, name: str) -> T:
        """The entry of a registered name or an import path. Raises ``ConfigError`` if there is none."""
        if ":" in name:
            return self._checked(name, imported(name))
        if name not in self:
            names = known(name, tuple(self))
            stop = "" if names.endswith("?") else "."
            raise ConfigError(
                f"unknown {self.what} {name!r}; known: {names}{stop} An import path, package.module:attribute, names "
                "one of your own"
            )
        return self[name]

    def module(self, name: str) -> str:
        """The module of an entry that is not built in: of an import path, or of an installed package's entry point.
        Empty for a built-in entry."""
        if ":" not in name and name not in self._entries and name in self._points():
            name = self._points()[name].value
        return name.partition(":")[0] if ":" in name else ""

    def _points(self) -> dict[str, EntryPoint]:
        if self._installed is None:
            self._installed = {point.name: point for point in entry_points(group=self.group)}
        return self._installed

    def _checked(self, path: str, found: object) -> T:
        if not self._accepts(found):
            raise ConfigError(f"{path} is not a valid {self.what}: {self._how}")
        return cast(T, found)


def known(value: str, choices: Sequence[str]) -> str:
    """The choices as text, with the one nearest to ``value`` if one is near."""
    return f"{', '.join(choices)}{did_you_mean(value, choices)}" if choices else "none"


class Parameter(NamedTuple):
    """The declaration of one of an entry's own parameters."""

    kind: type
    default: object
    bounds: Bounds


def parameters(function: Callable[..., object]) -> dict[str, Parameter]:
    """The keyword-only arguments of ``function`` by name: its own parameters.

    Raises ``ConfigError`` if one has no type or no default: such a parameter could not be set or left out.
    """
    hints = get_type_hints(function, include_extras=True)
    found = {}
    for name, argument in inspect.signature(function).parameters.items():
        if argument.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if name not in hints or argument.default is inspect.Parameter.empty:
            where = getattr(function, "__qualname__", repr(function))
            raise ConfigError(f"{where}: its parameter '{name}' needs a type and a default")
        hint = hints[name]
        extras = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        bounds = next((extra for extra in extras if isinstance(extra, Bounds)), Bounds())
        found[name] = Parameter(get_args(hint)[0] if extras else hint, argument.default, bounds)
    return found


def checked_params(function: Callable[..., object], given: Mapping[str, object], path: str) -> dict[str, object]:
    """The keyword arguments with which to call ``function``: ``given``, the configuration's mapping at the key
    ``path``, converted to the declared types. Parameters that are not given keep their defaults.

    Raises:
        ConfigError: an unknown name, or a value of the wrong type or out of bounds.
    """
    declared = parameters(function)
    for name in given:
        if name not in declared:
            raise ConfigError(f"config: there is no key '{path}.{name}'; known: {known(name, tuple(declared))}")
    fields = [
        (name, own.kind, dataclass_field(default_factory=lambda value=own.default: value))  # type: ignore[misc]
        for name, own in declared.items()
    ]
    schema = OmegaConf.structured(make_dataclass("Params", fields))
    try:
        merged = OmegaConf.to_container(OmegaConf.merge(schema, dict(given)))
    except OmegaConfBaseException as error:
        raise ConfigError(f"config: {path}.{error.full_key or ''}: {str(error).splitlines()[0]}") from error
    assert isinstance(merged, dict)
    for name in given:
        declared[name].bounds.check(f"{path}.{name}", merged[name])
    return {name: merged[name] for name in given}


def imported(path: str) -> object:
    """The object of an import path ``module:attribute``. Raises ``ConfigError`` if the module or the attribute is
    missing; an error inside the module itself propagates."""
    module_name, _, attribute = path.partition(":")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # a console script does not search the working directory
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise ConfigError(f"{path}: there is no module {error.name} on the path ({here} included)") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"{path}: the module {module_name} has no '{attribute}'")
        found = getattr(found, part)
    return found
