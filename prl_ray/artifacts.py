"""Results of stages, found again by a hash of their inputs.

An artifact's folder is named by a hash of its inputs: settings, contents of files, upstream artifacts, and the code of
the stage. A stage whose artifact exists is skipped, also in another run. Artifacts are written atomically. Where the
runs are behind a URL, an artifact that another machine has made exists too, and is downloaded on first use.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Self

from prl_ray import remote
from prl_ray.disk import full_disk, last_line
from prl_ray.errors import DataError
from prl_ray.models.folders import written_whole

INPUTS = "inputs.json"
DIGESTS = {
    "base": "the base model",
    "problems.contents": "the problem file",
    "labels": "the labels",
    "sft": "the SFT policy",
    "rollouts": "the rollouts",
    "policy": "the policy",
    "code": "the code of this stage",
    "plugins": "the code of your own parts",
}
"""Inputs whose values are hashes, and the name of each."""
SHOWN = 4
"""Differences that :meth:`Artifact.reason` spells out."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """The result of one stage for one set of inputs."""

    stage: str
    folder: Path
    inputs: Mapping[str, object]

    @classmethod
    def of(cls, store: Path, stage: str, **inputs: object) -> Self:
        """The artifact of ``stage`` for ``inputs`` (config groups, plain values, or artifacts)."""
        plain = {name: _plain(value) for name, value in inputs.items()}
        digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]
        return cls(stage, store / f"{stage}-{digest}", plain)

    @property
    def key(self) -> str:
        """Stage and hash, by which later artifacts name it as their input."""
        return self.folder.name

    @property
    def exists(self) -> bool:
        """Whether the artifact exists, here or behind the URL of the runs."""
        return self._here or remote.is_whole(self.folder)

    @property
    def _here(self) -> bool:
        return (self.folder / INPUTS).is_file()

    @contextmanager
    def write(self) -> Iterator[Path]:
        """A folder to write into, which becomes the artifact when the block ends without an error.

        Raises ``DataError`` if the disk is full, and nothing of the artifact is left then; ``StorageError`` where it
        cannot be uploaded, and it exists here then, and ``need`` uploads it.
        """
        with written_whole(self.folder) as aside:
            try:
                yield aside
                (aside / INPUTS).write_text(json.dumps(self.inputs, indent=2, sort_keys=True) + "\n")
            except Exception as error:
                if said := full_disk(aside, aside, error):
                    raise DataError(
                        f"the artifact {self.folder} cannot be written ({last_line(error)}){said}. Make room, or give "
                        "another runs_dir=…, and give the same command again"
                    ) from error
                raise
        remote.publish(self.folder)

    def need(self) -> Path:
        """The folder, which is downloaded if it is not here, and uploaded if it is here only.

        Raises ``DataError`` naming the stage to run if it does not exist.
        """
        if self._here:
            if not remote.is_whole(self.folder):
                remote.publish(self.folder)
        elif not remote.fetch(self.folder):
            raise DataError(
                f"the stage '{self.stage}' has no artifact for this configuration ({self.folder} is missing): run it "
                f"first, for example with stages=[{self.stage}], or without `stages=` for the whole recipe"
            )
        return self.folder

    def reason(self) -> str:
        """One phrase: why the stage is skipped, or the difference from the most similar artifact of this stage."""
        if self.exists:
            return f"reused: {self.key} has the same inputs"
        others = {}
        for file in self.folder.parent.glob(f"{self.stage}-*/{INPUTS}"):
            with suppress(OSError, ValueError, AttributeError):  # a foreign or damaged folder: nothing to compare with
                others[file.parent.name] = self._differences(file)
        if not others:
            return f"run: there is no artifact of the stage '{self.stage}' yet"
        nearest = min(others, key=lambda name: len(others[name]))
        phrases = others[nearest]
        more = f", and {len(phrases) - SHOWN} more differences" if len(phrases) > SHOWN else ""
        return f"run: compared with {nearest}, {', '.join(phrases[:SHOWN])}{more}"

    def _differences(self, file: Path) -> list[str]:
        """The differences between these inputs and those in ``file``, one phrase each."""
        there = flat(json.loads(file.read_text(encoding="utf-8")))
        ours = flat(json.loads(json.dumps(self.inputs)))
        different = [name for name in ours.keys() | there.keys() if ours.get(name) != there.get(name)]
        digests = {name: name.partition(".")[0] if name.startswith("plugins.") else name for name in different}
        settings = sorted(name for name, digest in digests.items() if digest not in DIGESTS)
        return [
            *(f"{name} is {ours.get(name, 'absent')}, not {there.get(name, 'absent')}" for name in settings),
            *(f"{DIGESTS[name]} changed" for name in DIGESTS if name in digests.values()),
        ]


def flat(tree: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """A nested mapping as dotted keys: ``{"a": {"b": 1}}`` gives ``{"a.b": 1}``."""
    leaves: dict[str, object] = {}
    for name, value in tree.items():
        nested = flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {}
        leaves |= nested or {f"{prefix}{name}": value}
    return leaves


def _plain(value: object) -> object:
    if isinstance(value, Artifact):
        return value.key
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value) if isinstance(value, Path) else value
