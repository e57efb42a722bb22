"""Checkpoints of the PPO stage: written to a temporary folder, renamed when complete, verified before use.

``step_000008``, …, and ``best`` (a Hugging Face folder with its score) are in ``checkpoints`` of the run folder. Each
has a ``state.json`` with the size and the checksum of every other file. Other folders there are ignored. Where the
runs are behind a URL, each is uploaded as soon as it is written, and missing ones are downloaded.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from prl_ray import remote
from prl_ray.disk import folder_size, full_disk, last_line
from prl_ray.errors import CheckpointError, StorageError
from prl_ray.fingerprints import file_digest, signed
from prl_ray.models.folders import replace_folder

STATE = "state.json"
STEP = re.compile(r"step_\d{6,}")


class State(TypedDict):
    """``state.json`` of a step."""

    step: int
    """Number of finished PPO steps."""
    fingerprint: str
    files: dict[str, tuple[int, str]]
    """Size and checksum of every other file, by its path in the folder."""
    checksum: str
    """Of the other entries."""
    wandb_id: str | None
    best: float
    """Best validation pass@1 so far."""


@dataclass
class Checkpoints:
    """The checkpoints of one run."""

    folder: Path
    keep: int
    """Number of newest checkpoints that are kept, in addition to the best one."""
    fingerprint: str
    """Identifies the settings of the run; a checkpoint with another fingerprint is refused."""
    warn: Callable[[str], None] = field(default=print)
    """Called with one sentence per damaged checkpoint."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self._left("old.part"):  # killed between the two renames of `_write`
            final = self.folder / old.name.removeprefix(".").removesuffix(".old.part")
            if not final.exists():
                old.rename(final)
        for left in self._left("part"):
            shutil.rmtree(left, ignore_errors=True)

    def newest(self) -> tuple[Path, State] | None:
        """The newest undamaged checkpoint and its state, or None. A damaged one is replaced by what was uploaded, else
        reported and skipped. Brings the best policy along.

        Raises ``CheckpointError`` for a checkpoint of other settings.
        """
        for folder in reversed(self._found()):
            if damage := self._damage(folder):
                self.warn(f"the checkpoint {folder} is damaged ({damage}); it is skipped")
                continue
            state: State = json.loads((folder / STATE).read_text(encoding="utf-8"))
            if state["fingerprint"] != self.fingerprint:
                raise CheckpointError(
                    f"{folder} was written by a run with other settings or by other code ({state['fingerprint']}, not "
                    f"{self.fingerprint}); give this run another name (name=…), or remove {self.folder.parent} to "
                    "start over"
                )
            return folder, state
        return None

    def write(self, step: int, state: Mapping[str, object], save: Callable[[Path], None]) -> Path:
        """Writes the checkpoint of ``step`` finished PPO steps. ``save`` fills the folder that it gets.

        Raises ``CheckpointError`` if the disk is full; earlier checkpoints stay intact.
        """
        final = self.folder / f"step_{step:06d}"
        self._write(final, save, {**state, "step": step, "fingerprint": self.fingerprint})
        # Newer ones were damaged, or this run would have continued from them: they do not count as kept.
        older = [folder for folder in step_folders(self.folder) if _number(folder) <= step]
        for old in older[: -self.keep]:
            shutil.rmtree(old, ignore_errors=True)
        try:
            self._upload(final)
        except StorageError as error:  # nothing is lost: the next upload includes it
            self.warn(f"the checkpoint {final} stays on this machine for now: {error}")
        return final

    @property
    def best(self) -> Path:
        """Folder of the best policy so far."""
        return self.folder / "best"

    def best_score(self) -> float:
        """Validation pass@1 of the best policy; negative if this run has none yet."""
        if not self.best.exists():
            return -1.0
        if damage := damage_of(self.best):
            self.warn(f"the best policy {self.best} is damaged ({damage}); it does not count")
            return -1.0
        state = json.loads((self.best / STATE).read_text(encoding="utf-8"))
        return float(state["score"]) if state.get("fingerprint") == self.fingerprint else -1.0

    def write_best(self, step: int, score: float, save: Callable[[Path], None]) -> None:
        """Keeps the policy of ``step`` as the best one."""
        self._write(self.best, save, {"step": step, "score": score, "fingerprint": self.fingerprint})

    def _found(self) -> list[Path]:
        """Checkpoints here and behind the URL, oldest first; the latter need not be here.

        Raises ``StorageError`` where the URL cannot be read and there is none here.
        """
        here = sorted(_named(self.folder), key=_number)  # one without its state is named as damaged
        try:
            remote.fetch(self.best)
            return sorted({*here, *self._uploaded()}, key=_number)
        except StorageError as error:
            if not here:
                raise
            self.warn(f"only checkpoints on this machine are considered: {error}")
            return here

    def _uploaded(self) -> list[Path]:
        away = remote.RemoteFolder.of(self.folder)
        return [step for step in away.whole("step_*") if STEP.fullmatch(step.name)] if away else []

    def _damage(self, folder: Path) -> str:
        """The damage of a checkpoint here or behind the URL, after it was downloaded."""
        damage = damage_of(folder)
        away = remote.RemoteFolder.of(folder)
        return damage_of(folder) if damage and away and away.repair() else damage

    def _upload(self, newest: Path) -> None:
        """Uploads the best policy, the newest checkpoint and what could not be uploaded before; removes old ones.

        The best policy goes first: a run that resumes from a checkpoint must find the best one of the steps before it.
        """
        here, there = step_folders(self.folder), self._uploaded()
        best = [self.best] if self.best.exists() else []
        for folder in [*best, *(step for step in here if step == newest or step not in there)]:
            remote.publish(folder)
        for old in set(there) - set(here):
            if away := remote.RemoteFolder.of(old):
                away.remove()

    def _left(self, end: str) -> list[Path]:
        """Remains of a checkpoint of a killed process; hidden folders of others are not among them."""
        return [p for name in ("step_*", "best") for p in self.folder.glob(f".{name}.{end}")]

    def _write(self, final: Path, save: Callable[[Path], None], state: Mapping[str, object]) -> None:
        aside = final.with_name(f".{final.name}.part")
        shutil.rmtree(aside, ignore_errors=True)
        try:
            aside.mkdir(parents=True)
            save(aside)
            text = json.dumps(signed({**state, "files": manifest(aside)}), indent=2)
            (aside / STATE).write_text(text + "\n", encoding="utf-8")
        except Exception as error:
            earlier = max([0, *(folder_size(p) for p in (*step_folders(self.folder), final) if p.exists())])
            said = full_disk(self.folder, aside, error, earlier)
            if isinstance(error, OSError) or said:
                raise CheckpointError(
                    f"the checkpoint {final} cannot be written ({last_line(error)}){said}. Earlier checkpoints are "
                    "intact; fix this and give the same command again"
                ) from error
            raise
        else:
            replace_folder(aside, final)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def step_folders(folder: Path) -> list[Path]:
    """Folders of checkpoints, oldest first; other entries of ``checkpoints`` are ignored."""
    return sorted((p for p in _named(folder) if (p / STATE).exists()), key=_number)


def _named(folder: Path) -> list[Path]:
    return [p for p in folder.glob("step_*") if STEP.fullmatch(p.name) and p.is_dir()]


def _number(folder: Path) -> int:
    return int(folder.name.removeprefix("step_"))


def manifest(folder: Path) -> dict[str, list[int | str]]:
    """Size and checksum of every file below ``folder``: ``{"actor/state.pt": [1024, "ab12…"]}``."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / STATE)
    return {str(p.relative_to(folder)): [p.stat().st_size, file_digest(p)] for p in files}


def damage_of(folder: Path) -> str:
    """The damage of a checkpoint as one phrase; empty if it is intact."""
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        expected = state["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"{STATE} {'cannot be read' if (folder / STATE).exists() else 'is missing'}"
    if signed(state) != state:
        return f"the contents of {STATE} changed"
    try:
        found = manifest(folder)
    except OSError as error:
        return f"{error.filename or folder} cannot be read: {error.strerror or error}"
    for name, (size, digest) in expected.items():
        if name not in found:
            return f"{name} is missing"
        if found[name][0] != size:
            return f"{name} has {found[name][0]} bytes instead of {size}"
        if found[name][1] != digest:
            return f"the contents of {name} changed"
    return ""
