"""Checkpoints of the PPO stage: written aside, renamed when whole, the newest whole one found again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prl_ray.errors import CheckpointError

STATE = "state.json"


class Checkpoints:
    """The ``checkpoints`` folder of a run: ``step_000008``, …, and ``best`` (a Hugging Face folder with its score)."""

    def __init__(self, folder: Path, keep: int, fingerprint: str) -> None:
        """``fingerprint`` names the settings that the run was started with; a checkpoint of others is refused."""
        self.folder, self.keep, self.fingerprint = folder, keep, fingerprint
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(".*.old.part"):  # killed between the two renames of `_whole`
            final = folder / old.name.removeprefix(".").removesuffix(".old.part")
            if not final.exists():
                old.rename(final)
        for left in folder.glob(".*.part"):
            shutil.rmtree(left, ignore_errors=True)

    def newest(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest whole checkpoint and its state, or None. Raises ``CheckpointError`` for another run's."""
        whole = sorted(p for p in self.folder.glob("step_*") if (p / STATE).is_file())
        if not whole:
            return None
        state: dict[str, Any] = json.loads((whole[-1] / STATE).read_text())
        if state["fingerprint"] != self.fingerprint:
            raise CheckpointError(
                f"{whole[-1]} was written by a run with other settings; give this run another name (name=…), or remove "
                f"{self.folder.parent} to start over"
            )
        return whole[-1], state

    def write(self, step: int, state: Mapping[str, Any], save: Callable[[Path], None]) -> Path:
        """Saves after ``step`` finished PPO steps. ``save`` fills the folder that it is given."""
        final = self.folder / f"step_{step:06d}"
        self._whole(final, save, {**state, "step": step, "fingerprint": self.fingerprint})
        for old in sorted(self.folder.glob("step_*"))[: -self.keep]:
            shutil.rmtree(old, ignore_errors=True)
        return final

    @property
    def best(self) -> Path:
        """Folder of the best policy so far."""
        return self.folder / "best"

    def best_score(self) -> float:
        """Validation pass@1 of the best policy; below zero while there is none of this run's settings."""
        file = self.best / STATE
        state = json.loads(file.read_text()) if file.is_file() else {}
        return float(state["score"]) if state.get("fingerprint") == self.fingerprint else -1.0

    def write_best(self, step: int, score: float, save: Callable[[Path], None]) -> None:
        """Keeps the policy of ``step`` as the best one."""
        self._whole(self.best, save, {"step": step, "score": score, "fingerprint": self.fingerprint})

    def _whole(self, final: Path, save: Callable[[Path], None], state: Mapping[str, Any]) -> None:
        aside = final.with_name(f".{final.name}.part")
        shutil.rmtree(aside, ignore_errors=True)
        try:
            aside.mkdir(parents=True)
            save(aside)
            (aside / STATE).write_text(json.dumps(dict(state), indent=2) + "\n")
        except OSError as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise CheckpointError(
                f"the checkpoint {final} cannot be written ({error}); earlier ones are whole. Free some disk space and "
                "give the same command again"
            ) from error
        if final.exists():
            old = final.with_name(f".{final.name}.old.part")
            shutil.rmtree(old, ignore_errors=True)
            final.rename(old)
            aside.rename(final)
            shutil.rmtree(old, ignore_errors=True)
        else:
            aside.rename(final)
