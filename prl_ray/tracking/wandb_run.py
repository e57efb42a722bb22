"""The mirror of a run in Weights & Biases. Its start can raise; later failures never stop the run.

Rows carry their index in ``metrics.jsonl`` as W&B step, and each stage counts its own steps (``sft/step``,
``ppo/step``, …), which are the x axes of its charts.
"""

from __future__ import annotations

import contextlib
import netrc
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar
from urllib.parse import urlsplit

from prl_ray.errors import ConfigError, PrlRayError
from prl_ray.tracking.samples import SampledProgram

if TYPE_CHECKING:
    import wandb

T = TypeVar("T")
Warn = Callable[[str], None]

HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")
"""Host names of the public server; the second one since W&B 0.31."""
TABLE_COLUMNS = ("step", "task_id", "sample", "status", "total_reward", "line", "text", "score", "reward")
INIT_TIMEOUT_S = 30.0
FINISH_TIMEOUT_S = 120.0
TEARDOWN_TIMEOUT_S = 5.0


def logged_in() -> bool:
    """Whether W&B finds credentials: in the environment, or in a netrc entry for its server. Never prompts."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    server = os.environ.get("WANDB_BASE_URL")
    hosts = [urlsplit(server).netloc] if server else list(HOSTS)
    named = os.environ.get("NETRC")
    for path in [Path(named)] if named else [Path("~/.netrc"), Path("~/_netrc")]:
        try:
            entries = netrc.netrc(path.expanduser())
        except (OSError, netrc.NetrcParseError):
            continue
        if any(found and found[2] for found in map(entries.authenticators, hosts)):
            return True
    return False


def choose_mode(mode: str) -> str:
    """Resolves ``auto | online | offline | off`` to ``online | offline | off``; ``auto`` also reads ``WANDB_MODE``.

    Raises:
        ConfigError: ``online`` without credentials.
    """
    wish = mode
    if mode == "auto":
        by_environment = {"disabled": "off", "dryrun": "offline", "offline": "offline"}
        wish = by_environment.get(os.environ.get("WANDB_MODE", ""), "online" if logged_in() else "offline")
    if wish == "online" and not logged_in():
        raise ConfigError(
            "tracking.mode=online, but W&B is not logged in: run `wandb login` or set WANDB_API_KEY, "
            "or use tracking.mode=auto, which keeps an offline copy that `wandb sync` uploads later"
        )
    return wish


class _Identity(TypedDict):
    project: str
    name: str
    id: str
    config: dict[str, object]
    dir: str


class WandbRun:
    """One open W&B run. Its first failure is reported once; after that all calls do nothing.

    Args:
        folder: Folder of W&B's files.
        mode: ``online`` or ``offline``.
        run_id: The run's id; an existing run of that id is continued.
        fall_back: If W&B cannot start in ``mode``, warn and use a weaker mode; otherwise raise PrlRayError.
    """

    def __init__(
        self,
        folder: Path,
        *,
        mode: str,
        project: str,
        name: str,
        run_id: str,
        config: Mapping[str, object],
        warn: Warn,
        fall_back: bool,
    ) -> None:
        self._warn: Warn | None = warn
        self._axes: set[str] = set()
        self._run: wandb.Run | None = None
        self.folder = Path(folder).resolve()
        self.mode = mode
        identity: _Identity = {
            "project": project,
            "name": name,
            "id": run_id,
            "config": dict(config),
            "dir": str(self.folder),
        }
        try:
            self._run = _init(mode, identity)
        except Exception as error:
            why = _first_line(error)
            if not fall_back:
                raise PrlRayError(f"W&B could not start ({why}); tracking=off runs without it") from error
            if mode == "online":
                warn(f"W&B cannot be reached ({why}); this run is kept offline, `wandb sync` uploads it later")
                self.mode = "offline"
                self._run = self._guard("start", lambda: _init("offline", identity))
            else:
                warn(f"W&B could not start ({why}); only metrics.jsonl is kept")
        # Both query W&B's service, so they are read here, where a failure counts as a failed start.
        self.next_row = int(self._run.starting_step) if self._run is not None else 0
        """The first row that the server lacked when the run was opened; 0 offline."""
        self.url = str(self._run.url or "") if self._run is not None else ""
        """Address of the run's page; empty offline."""

    def log(
        self, row: int, stage: str, step: int, metrics: Mapping[str, float], table: wandb.Table | None = None
    ) -> None:
        """Sends row ``row`` of ``metrics.jsonl``, and a table of samples with it."""
        run = self._run
        if run is None:
            return
        axis = f"{stage}/step"
        values: dict[str, object] = dict(metrics)
        if table is not None:
            values["samples"] = table

        def send() -> None:
            for name in values.keys() - self._axes:
                run.define_metric(name, step_metric=axis)
            self._axes.update(values)
            run.log({**values, axis: step}, step=row, commit=True)

        self._guard("log", send)

    def table(self, step: int, programs: Sequence[SampledProgram]) -> wandb.Table | None:
        """A W&B Table with one row per program line; None after a failure of W&B."""
        if self._run is None:
            return None
        import wandb

        rows = [
            [step, p.task_id, number, p.status, p.reward, index, line.text, line.score, line.reward]
            for number, p in enumerate(programs)
            for index, line in enumerate(p.lines)
        ]
        return self._guard("table", lambda: wandb.Table(columns=list(TABLE_COLUMNS), data=rows, allow_mixed_types=True))

    def summary(self, values: Mapping[str, float]) -> None:
        """Sets figures of the whole run."""
        if (run := self._run) is not None:
            self._guard("summary", lambda: run.summary.update(dict(values)))

    def set_aside_earlier(self) -> None:
        """Moves away the files of the run's earlier offline processes, since this process has received their rows
        again, so that ``wandb sync FOLDER/wandb/offline-run-*`` uploads each row once.
        """
        if self._run is None:
            return
        aside = self.folder / "wandb" / "replaced"
        for old in (self.folder / "wandb").glob(f"offline-run-*-{self._run.id}"):
            if old.resolve() != Path(self._run.dir).parent.resolve():
                with contextlib.suppress(OSError):
                    aside.mkdir(exist_ok=True)
                    old.rename(aside / old.name)

    def finish(self, failed: bool = False) -> None:
        """Closes the run; waits for uploads up to a time limit."""
        run, self._run = self._run, None
        if run is None:
            return

        files = Path(run.dir).parent

        def end() -> None:
            self._guard("finish", lambda: run.finish(exit_code=int(failed)))
            _teardown()  # The service writes an offline run's last rows when it ends.

        if not _within(FINISH_TIMEOUT_S, end):
            self._warn_once(f"W&B still uploads after {FINISH_TIMEOUT_S:.0f} s; run `wandb sync {files}` later")

    def _guard(self, doing: str, act: Callable[[], T]) -> T | None:
        # No failure of W&B (service killed, disk full, protocol error) may stop hours of training; the run folder has
        # all data. Reported once: afterwards there is no W&B run.
        try:
            return act()
        except Exception as error:
            self._run = None
            _within(TEARDOWN_TIMEOUT_S, _teardown)  # Otherwise W&B prints a traceback about the dead service at exit.
            self._warn_once(
                f"W&B stopped ({doing}: {_first_line(error)}); metrics.jsonl is still written, the run continues"
            )
            return None

    def _warn_once(self, text: str) -> None:
        warn, self._warn = self._warn, None
        if warn:
            warn(text)


def _init(mode: str, identity: _Identity) -> wandb.Run:
    import wandb

    settings = wandb.Settings(mode=mode, silent=True, console="off", disable_code=True, init_timeout=INIT_TIMEOUT_S)
    wandb.teardown()  # A failed start leaves a service that reports the run as in use.
    # Before init: silence at login and offline network access are settings of the process, not of the run.
    wandb.setup(settings=settings)
    return wandb.init(resume="allow", settings=settings, **identity)


def _within(seconds: float, act: Callable[[], object]) -> bool:
    """Whether ``act`` returns in time; if not, it continues in the background."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def _teardown() -> None:
    import wandb

    with contextlib.suppress(Exception):
        wandb.teardown()


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
