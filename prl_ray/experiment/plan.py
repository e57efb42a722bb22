"""The experiment file: the hypothesis and the arms, written down before anything runs.

    name: composed_hard
    hypothesis: Exact locations teach more than the outcome alone.
    baseline: outcome
    seeds: [1, 2, 3]
    common: [model=tiny, loop.steps=40]
    start: {overrides: [model=tiny, "stages=[sft]"], artifact: sft}
    arms:
      outcome: {overrides: [reward=outcome, algorithm.estimator=rloo]}
      gate_exact: {overrides: [reward=outcome, algorithm.estimator=gate, locator=exact], says: where the tests say}

``start`` is a run that is executed first; every arm starts from the model in the named folder of that run. In a list
of runs each starts from the model of the previous one, and the arms from that of the last. In an arm's overrides
``{start}`` stands for the folder of the last of these runs: ``prm.path={start}/prm`` shares its PRM. ``start: {model:
FOLDER}`` is a model that exists already; a relative folder is relative to the file. ``against: ARM`` compares an arm
with another one besides the baseline. ``hypothesis`` may be a list: the first one, then those of arms that were added
later.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from prl_ray.errors import ConfigError
from prl_ray.fingerprints import fingerprint

START = "{start}"
"""In an override: the folder of the last ``start`` run."""
START_SEED = 104_729
"""Default seed of ``start``: different from the arms' seeds, whose problems its model must not have seen."""
_NAME = re.compile(r"[A-Za-z0-9_]+")
_KEYS = {"name", "hypothesis", "baseline", "seeds", "common", "start", "arms"}


@dataclass(frozen=True, slots=True)
class Arm:
    """One configuration of the training."""

    name: str
    overrides: tuple[str, ...]
    says: str = ""
    """One phrase for the result page."""
    against: str = ""
    """Name of another arm that it is compared with besides the baseline, such as one of equal cost."""


@dataclass(frozen=True, slots=True)
class Start:
    """A run that is executed before the arms, or a model that exists already."""

    overrides: tuple[str, ...] = ()
    artifact: str = "sft"
    """Subfolder of the run with the model."""
    seed: int = START_SEED
    model: Path | None = None
    """Folder of the model that exists already."""

    @property
    def settings(self) -> tuple[str, ...]:
        """Identifies this start: the run's overrides and seed, or the model's contents."""
        if self.model is not None:
            return (f"model={fingerprint(self.model)}",)
        return (*self.overrides, f"seed={self.seed}")


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One run: an arm at a seed."""

    experiment: str
    arm: str
    seed: int
    overrides: tuple[str, ...]
    """All overrides except the run's name, its folder and its initial model; ``START`` is not replaced yet."""
    begins: tuple[str, ...] = ()
    """The settings of the ``start``."""

    @property
    def name(self) -> str:
        """Name of the run and of its record."""
        return f"{self.experiment}-{self.arm}-s{self.seed}"

    def at(self, start: Path) -> list[str]:
        """``overrides`` with the folder of the last ``start`` run in place of ``START``."""
        return [item.replace(START, str(start)) for item in self.overrides]

    @property
    def key(self) -> str:
        """A hash of the run's settings: a record with another key belongs to another experiment."""
        settings = json.dumps([self.overrides, self.begins, self.seed])
        return hashlib.sha256(settings.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Experiment:
    """A checked experiment file."""

    name: str
    hypotheses: tuple[str, ...]
    """The expected results, in words; those added later say what was known at that time."""
    baseline: str
    seeds: tuple[int, ...]
    arms: tuple[Arm, ...]
    common: tuple[str, ...] = ()
    starts: tuple[Start, ...] = ()
    """The stages before the arms; each run starts from the model before it."""

    def runs(self, arms: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[RunPlan]:
        """All runs, or those of some arms and seeds, ordered by seed, so that complete comparisons exist early.

        Raises ``ConfigError`` for an arm or a seed that the file does not have.
        """
        known = [arm.name for arm in self.arms]
        for name in arms:
            if name not in known:
                raise ConfigError(f"experiment {self.name}: there is no arm {name!r}; it has {', '.join(known)}")
        for seed in seeds:
            if seed not in self.seeds:
                raise ConfigError(f"experiment {self.name}: there is no seed {seed}; it has {self.seeds}")
        begins = tuple(item for start in self.starts for item in start.settings)
        return [
            RunPlan(self.name, arm.name, seed, (*self.common, *arm.overrides), begins)
            for seed in self.seeds
            for arm in self.arms
            if (not arms or arm.name in arms) and (not seeds or seed in seeds)
        ]


def read_experiment(file: Path) -> Experiment:
    """The experiment in a YAML file. Raises ``ConfigError`` for an invalid file."""
    try:
        found = OmegaConf.to_container(OmegaConf.load(file), resolve=True)
    except FileNotFoundError:
        raise ConfigError(f"there is no experiment file {file}") from None
    except (YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{file} is not YAML: {str(error).splitlines()[0]}") from error
    return _Reader(file, _mapping(found, file, "the file")).experiment()


@dataclass
class _Reader:
    file: Path
    found: Mapping[str, object]
    arms: list[Arm] = field(default_factory=list)

    def experiment(self) -> Experiment:
        self._known("the file", self.found, _KEYS)
        name = self._name("name", self.found.get("name"))
        for arm, body in _mapping(self.found.get("arms"), self.file, "arms").items():
            body = _mapping(body, self.file, f"arms.{arm}")
            self._known(f"arms.{arm}", body, {"overrides", "says", "against"})
            overrides = self._overrides(f"arms.{arm}.overrides", body.get("overrides", []))
            says, against = (str(body.get(key, "")) for key in ("says", "against"))
            self.arms.append(Arm(self._name("an arm's name", arm), overrides, says, against))
        names = [arm.name for arm in self.arms]
        baseline = self.found.get("baseline")
        if baseline not in names:
            raise self._wrong(f"baseline must be one of the arms, not {baseline!r}")
        for made in self.arms:
            if made.against and made.against not in {*names} - {made.name, baseline}:
                raise self._wrong(
                    f"arms.{made.name}.against must be an arm other than itself and the baseline, not {made.against!r}"
                )
        seeds = self.found.get("seeds")
        if not isinstance(seeds, list) or not seeds or not all(type(s) is int and s >= 0 for s in seeds):
            raise self._wrong(f"seeds must be a list of non-negative integers, not {seeds!r}")
        if len(set(seeds)) < len(seeds):
            raise self._wrong("seeds has a duplicate")
        common, starts = self._overrides("common", self.found.get("common", [])), self._starts()
        for item in (*common, *(item for arm in self.arms for item in arm.overrides)):
            if START in item and not (starts and starts[-1].overrides):
                raise self._wrong(f"{item!r}: there is no `start` run whose folder {START} could be")
        return Experiment(name, self._hypotheses(), str(baseline), tuple(seeds), tuple(self.arms), common, starts)

    def _hypotheses(self) -> tuple[str, ...]:
        found = self.found.get("hypothesis")
        stated = found if isinstance(found, list) else [found]
        texts = tuple(text.strip() for text in stated if isinstance(text, str) and text.strip())
        if not texts or len(texts) < len(stated):
            raise self._wrong(
                "hypothesis must state the expected result in words, before the runs; or be a list of such"
            )
        return texts

    def _starts(self) -> tuple[Start, ...]:
        found = self.found.get("start", [])
        bodies = {f"start[{i}]": body for i, body in enumerate(found)} if isinstance(found, list) else {"start": found}
        return tuple(self._start(path, _mapping(body, self.file, path)) for path, body in bodies.items())

    def _start(self, path: str, body: Mapping[str, object]) -> Start:
        if "model" in body:
            self._known(path, body, {"model"})
            folder = self.file.parent / str(body["model"])
            if not folder.is_dir():
                raise self._wrong(f"{path}.model: there is no folder {folder}")
            return Start(model=folder)
        self._known(path, body, {"overrides", "artifact", "seed"})
        overrides = self._overrides(f"{path}.overrides", body.get("overrides", []))
        if any(START in item for item in overrides):
            raise self._wrong(f"{path}.overrides: {START} is for `common` and the arms")
        seed = body.get("seed", START_SEED)
        if type(seed) is not int or seed < 0:
            raise self._wrong(f"{path}.seed must be a non-negative integer, not {seed!r}")
        return Start(overrides, self._name(f"{path}.artifact", body.get("artifact", "sft")), seed)

    def _overrides(self, path: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(f"{path} must be a list of KEY=VALUE (in quotes where YAML would read a list)")
        for item in value:
            key = item.lstrip("+").partition("=")[0]
            if key in ("name", "runs_dir", "seed", "model.path") or "=" not in item:
                raise self._wrong(f"{path}: {item!r}: name, runs_dir, seed and model.path are set by the experiment")
        return tuple(value)

    def _name(self, what: str, value: object) -> str:
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            raise self._wrong(f"{what} must consist of letters, digits and _, not {value!r}")
        return value

    def _known(self, path: str, body: Mapping[str, object], keys: set[str]) -> None:
        if unknown := set(body) - keys:
            raise self._wrong(f"{path} has unknown keys {sorted(unknown)}; allowed: {sorted(keys)}")

    def _wrong(self, message: str) -> ConfigError:
        return ConfigError(f"{self.file}: {message}")


def machine_overrides(overrides: Sequence[str]) -> list[str]:
    """The overrides, all of which say where a run is executed and what it reads there. They may be set for all runs
    when an experiment is started, and are not part of a record's settings. Raises ``ConfigError`` for another one."""
    for item in overrides:
        key = item.lstrip("+").partition("=")[0]
        if key != "problems.path" and not key.startswith(("cluster.", "tracking.")):
            raise ConfigError(
                f"{item!r}: only the settings of this machine can be given here (problems.path, cluster.*, "
                "tracking.*); others belong into the experiment file"
            )
    return list(overrides)


def _mapping(value: object, file: Path, path: str) -> Mapping[str, object]:
    if not isinstance(value, dict) or not value:
        raise ConfigError(f"{file}: {path} must be a non-empty mapping")
    return {str(key): item for key, item in value.items()}
