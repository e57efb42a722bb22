"""Numbers and sampled programs of a run: always in the run folder, and in W&B unless it is off."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from prl_ray.errors import DataError
from prl_ray.tracking.metrics_file import MetricsFile, Record, read_records, replace_text
from prl_ray.tracking.sample_store import SampleStore
from prl_ray.tracking.samples import COLUMNS, SampledProgram, sampled_programs, spread
from prl_ray.tracking.wandb_run import WandbRun, Warn, choose_mode

PPO = "ppo"
TABLE_PROGRAMS = 8
"""Number of programs in a W&B table."""


if TYPE_CHECKING:
    import wandb


class Tracker:
    """Writes ``metrics.jsonl``, ``samples/`` and the W&B run of one run folder.

    Metrics of the stage ``ppo`` keep their names (``actor/pg_loss``); those of other stages get the stage as a prefix
    (``sft/loss``). A resumed stage calls :meth:`rewind` first; the files are then those of an uninterrupted run.

    The W&B run is that of ``resume_id`` (from the checkpoint), else the folder's previous one, else a new one. Before
    the first new row it receives the missing rows of ``metrics.jsonl``: a killed process loses the last rows of an
    offline run, and a run may have started with tracking off.

    Args:
        mode: ``auto`` (online if logged in, else offline; never asks), ``online``, ``offline`` or ``off``.
        config: The resolved config, for W&B.
        resume_id: Id of the W&B run to resume.
        warn: Called once when W&B fails; prints to stderr by default.
        keep_samples: Number of steps whose samples are kept in the run folder; 0 keeps all.
        table_every: Steps between two tables in W&B.

    Raises:
        ConfigError: ``mode="online"`` without credentials.
        PrlRayError: ``mode="online"`` and the server cannot be reached, or W&B cannot start.
    """

    def __init__(
        self,
        run_folder: Path,
        name: str,
        mode: str,
        project: str,
        config: Mapping[str, object],
        resume_id: str | None = None,
        warn: Warn | None = None,
        keep_samples: int = 0,
        table_every: int = 1,
    ) -> None:
        chosen = choose_mode(mode)
        self.run_folder = Path(run_folder)
        self.store = SampleStore(self.run_folder.resolve() / "samples", keep_samples)
        """All samples of the PPO steps; the learner writes them."""
        self._table_every = table_every
        self._file = MetricsFile(self.run_folder / "metrics.jsonl")
        self._state = _WandbState(self.run_folder / "wandb.json")
        self._state.run_id = resume_id or self._state.run_id
        self._wandb: WandbRun | None = None
        self._pending: wandb.Table | None = None
        self._sent = 0
        """W&B already has the steps below this one."""
        self._caught_up = False
        if chosen != "off":
            self._state.run_id = self._state.run_id or secrets.token_hex(4)
            self._state.save()
            self._wandb = WandbRun(
                self.run_folder,
                mode=chosen,
                project=project,
                name=name,
                run_id=self._state.run_id,
                config=config,
                warn=warn or _warn_on_stderr,
                fall_back=mode == "auto",
            )
            self._sent = self._wandb.next_row

    @property
    def wandb_id(self) -> str | None:
        """For checkpoints: the run's W&B id. None if the run never had one."""
        return self._state.run_id or None

    @property
    def mode(self) -> str:
        """The mode in use: ``online``, ``offline`` or ``off``."""
        return self._wandb.mode if self._wandb else "off"

    @property
    def url(self) -> str:
        """Page of the W&B run; empty unless online."""
        return self._wandb.url if self._wandb else ""

    def log(self, step: int, metrics: Mapping[str, float], stage: str = PPO) -> None:
        """Stores one row and mirrors it.

        Args:
            step: Counts within the stage.
            metrics: Values that ``float`` accepts; NaN and infinities become ``null`` in the file.
            stage: A stage of the recipe.
        """
        if self._wandb and not self._caught_up:
            self._catch_up()
        row = self._file.rows
        named = metrics if stage == PPO else {_under(stage, key): value for key, value in metrics.items()}
        self._send(row, self._file.append(stage, step, named), self._pending)
        self._pending = None

    def samples(self, step: int) -> list[SampledProgram]:
        """Some stored programs of a PPO step; the next :meth:`log` sends them to W&B as a Table."""
        rows = self._some(step)
        if self._wandb:
            self._pending = self._wandb.table(step, rows)
        return rows

    def _some(self, step: int) -> list[SampledProgram]:
        table = self.store.read(step, COLUMNS)
        return sampled_programs(table.take(spread(len(table), TABLE_PROGRAMS)))

    def rewind(self, stage: str, step: int = -1) -> None:
        """Deletes the rows of ``stage`` after ``step``, and for ppo the samples; without ``step`` the whole stage.

        A stage that starts or resumes calls it before its first row.
        """
        end = self._file.rows
        removed, at_end = self._file.cut(lambda record: record.stage == stage and record.step > step)
        if self._wandb and removed and not at_end and self._sent:
            # Rows removed from the end get the same numbers again; W&B has them and does not get them twice.
            # Rows removed from the middle change the numbers of later rows; W&B's steps cannot go back, so they shift.
            self._sent = max(self._sent, end + self._state.shift)
            self._state.shift += removed
            self._state.save()
        if stage == PPO:
            self.store.rewind(step)

    def summary(self, values: Mapping[str, float]) -> None:
        """Sets figures of the whole run in W&B's overview."""
        if self._wandb:
            self._wandb.summary(values)

    def close(self, failed: bool = False) -> None:
        """Ends the W&B run. Safe to call twice."""
        if self._wandb:
            self._wandb.finish(failed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close(failed=kind is not None)

    def _send(self, row: int, record: Record, table: wandb.Table | None = None) -> None:
        number = row + self._state.shift
        if self._wandb and number >= self._sent:
            self._wandb.log(number, record.stage, record.step, record.metrics, table)
            self._sent = number + 1

    def _catch_up(self) -> None:
        assert self._wandb
        self._caught_up = True
        stored = {step for step in self.store.steps() if step % self._table_every == 0}
        for row, record in enumerate(read_records(self._file.path)):
            table = None
            if record.stage == PPO and record.step in stored and row + self._state.shift >= self._sent:
                stored.remove(record.step)  # A step may have several rows; its samples are sent with the first.
                table = self._wandb.table(record.step, self._some(record.step))
            self._send(row, record, table)
        self._wandb.set_aside_earlier()


class _WandbState:
    """``wandb.json`` in the run folder: its W&B run and the shift of its steps."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run_id = ""
        self.shift = 0
        """W&B's step of a row minus the row's number."""
        if path.exists():
            try:
                state = json.loads(path.read_text(encoding="utf-8"))
                self.run_id, self.shift = str(state["run_id"]), int(state["shift"])
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{path}: not readable ({error}); remove it to start a new W&B run") from error

    def save(self) -> None:
        replace_text(self.path, json.dumps({"run_id": self.run_id, "shift": self.shift}) + "\n")


def _under(stage: str, name: str) -> str:
    return name if name.startswith(stage + "/") else f"{stage}/{name}"


def _warn_on_stderr(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)
