"""From Hydra overrides to a validated config."""

from __future__ import annotations

import difflib
import importlib.resources
import re
import shlex
from collections.abc import Sequence

import hydra
from hydra import initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from prl_ray.config.checks import validate
from prl_ray.config.keys import check_key, mappings
from prl_ray.config.run import Config
from prl_ray.errors import ConfigError
from prl_ray.rewards.shaping import SHAPINGS
from prl_ray.suggestions import did_you_mean

GROUPS = ("cluster", "model", "problems", "teacher", "reward", "algorithm", "locator", "tracking", "experiment")


def compose(overrides: Sequence[str] = ()) -> Config:
    """The validated config of Hydra overrides (``reward=outcome loop.steps=4 +cluster=local``).

    Raises:
        ConfigError: a group option, key or value that does not exist, with the nearest known one.
    """
    return validate(composed([spelled(o) for o in overrides]))


def composed(overrides: Sequence[str]) -> DictConfig:
    """The config that Hydra composes from ``conf/`` and the overrides, not validated."""
    try:
        with initialize_config_module(config_module="prl_ray.conf", version_base="1.3"):
            return hydra.compose(config_name="config", overrides=list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        for override in overrides:
            _explain_failure(override)
        cause = error.__cause__ or error
        raise ConfigError(f"config: {str(error).splitlines()[0]}: {str(cause).splitlines()[0]}") from error


def options(group: str) -> list[str]:
    """The options of a config group: files of ``conf/``, and registered shapings."""
    return sorted(_files(group).union(SHAPINGS if group == "reward" else ()))


def _files(group: str) -> set[str]:
    """Names of the files of a config group in ``conf/``."""
    place = importlib.resources.files("prl_ray.conf") / group
    return {f.name.removesuffix(".yaml") for f in place.iterdir() if f.name.endswith(".yaml")}


def _store_shapings() -> None:
    """Makes every registered shaping without a file in ``conf/reward`` an option of ``reward``.

    All but ``outcome`` choose ``algorithm=ppo``: the gate assigns credit to lines itself.
    """
    for name in sorted(set(SHAPINGS) - _files("reward")):
        algorithm = [] if name == "outcome" else [{"override /algorithm": "ppo"}]
        node = {"defaults": [*algorithm, "_self_"], "reward": {"name": name}}
        ConfigStore.instance().store(group="reward", name=name, node=node, package="_global_")


_store_shapings()


def spelled(override: str) -> str:
    """The override in Hydra's syntax: with a plus sign for groups outside the defaults list and for keys of
    mappings."""
    in_mapping = any(override.startswith(f"{key}.") for key in mappings())
    return f"+{override}" if in_mapping or re.match(r"(cluster|experiment)=", override) else override


def _explain_failure(override: str) -> None:
    """Raises ConfigError with the nearest known spelling if ``override`` is the cause."""
    key, equals, value = override.lstrip("+~").partition("=")
    if not equals:
        raise ConfigError(f"config: '{override}' is not an override; write KEY=VALUE (--help lists all)")
    if key in GROUPS:
        known = options(key)
        if value not in known:
            raise ConfigError(f"config: {key}={value} is not one of {', '.join(known)}{did_you_mean(value, known)}")
    elif key != "hydra" and not key.startswith("hydra."):
        near_group = difflib.get_close_matches(key, GROUPS, n=1, cutoff=0.75)
        if near_group and "." not in key:
            raise ConfigError(f"config: there is no key '{key}'; did you mean '{near_group[0]}'?")
        check_key(key)
        if not _is_one_value(override):
            quoted = shlex.quote(f"{key}='{value.replace(chr(39), chr(92) + chr(39))}'")
            raise ConfigError(
                f"config: Hydra does not parse '{value}' as one value of {key}; if it is one, quote it: {quoted}"
            )


def _is_one_value(override: str) -> bool:
    """Whether Hydra can parse an override, and as one value rather than a sweep over several."""
    try:
        return not OverridesParser.create().parse_override(override).is_sweep_override()
    except HydraException:
        return False
