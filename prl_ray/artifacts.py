"""Results of stages, found again by what they were made from.

An artifact's folder is named by a hash of its inputs: configuration, upstream artifacts, code version. A stage whose
artifact exists is skipped, also in another run; an artifact appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from prl_ray.errors import DataError
from prl_ray.models.folders import written_whole

FORMAT = 1
"""Raise it when stages make something else of the same inputs."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """What one stage makes of one set of inputs."""

    stage: str
    folder: Path
    inputs: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Stage and hash: what downstream artifacts name as their input."""
        return self.folder.name

    @property
    def exists(self) -> bool:
        """Whether it was made already."""
        return (self.folder / "inputs.json").is_file()

    @contextmanager
    def made(self) -> Iterator[Path]:
        """A folder to write into, which becomes the artifact when the block ends without an error."""
        with written_whole(self.folder) as aside:
            yield aside
            (aside / "inputs.json").write_text(json.dumps(self.inputs, indent=2, sort_keys=True) + "\n")

    def need(self) -> Path:
        """The folder. Raises ``DataError`` naming the stage to run where it was not made yet."""
        if not self.exists:
            raise DataError(
                f"the stage '{self.stage}' has no artifact for this configuration ({self.folder} is missing): run it "
                f"first, for example with stages=[{self.stage}], or without `stages=` for the whole recipe"
            )
        return self.folder


def artifact(root: Path, stage: str, **inputs: Any) -> Artifact:
    """The artifact of ``stage`` for ``inputs`` (config groups, plain values, or artifacts)."""
    plain = {name: _plain(value) for name, value in inputs.items()} | {"format": FORMAT}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]
    return Artifact(stage, root / f"{stage}-{digest}", plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Artifact):
        return value.key
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value) if isinstance(value, Path) else value
