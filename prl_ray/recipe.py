"""The recipe: label → sft → prm → ppo → evaluate. Each stage is idempotent and has an artifact."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict

from omegaconf import OmegaConf

from prl_ray.actors.fleet import Fleet
from prl_ray.actors.placement import roles_of
from prl_ray.actors.weights import TransportSetup
from prl_ray.config import Config
from prl_ray.inputs import RunInputs
from prl_ray.models.quiet import set_library_environment
from prl_ray.plan_layout import short
from prl_ray.preflight import preflight
from prl_ray.remote import RemoteFolder
from prl_ray.remote_lock import RemoteLock
from prl_ray.report import write_report
from prl_ray.run_lock import RunLock
from prl_ray.run_records import fetch_records, publish_records
from prl_ray.stages import evaluate, label, ppo, prm, sft
from prl_ray.stages.context import RunContext, Stage
from prl_ray.tracking import Console, Tracker

RECIPE: tuple[Stage, ...] = (label, sft, prm, ppo, evaluate)
"""The stages in order."""


def run_recipe(config: Config, console: Console | None = None) -> Mapping[str, object]:
    """Runs the stages of ``config`` and returns the figures of the evaluation (empty without that stage).

    Raises:
        PrlRayError: one message with the cause and the remedy. Calling the function again resumes the run.
    """
    console = console or Console()
    inputs = RunInputs(config)
    set_library_environment()
    if away := RemoteFolder.of(inputs.folder):
        away.check()
    lease = RemoteLock(away.url, warn=console.warn) if away else nullcontext()
    with RunLock(inputs.folder, warn=console.warn), lease:
        fetch_records(inputs.folder)
        result = _locked(inputs, console)
        publish_records(inputs.folder)
    return result


def _locked(inputs: RunInputs, console: Console) -> Mapping[str, object]:
    """The run, while no other process works on its folder."""
    config = inputs.config
    with _tracker(inputs, console) as tracker:
        OmegaConf.save(OmegaConf.structured(config), inputs.folder / "config.yaml")
        _banner(inputs, console, tracker)
        for kind in config.evaluate.rerank:
            if config.evaluate.rerank_path(kind):
                evaluate.rerank_folder(inputs, kind)  # report a wrong folder before the training, not after it
        # report a layout that the transport cannot serve before anything starts
        transport = TransportSetup.of(config.cluster, inputs.folder).open()
        for stage in RECIPE:
            if stage.name in config.stages:
                stage.check(inputs)
        fleet = Fleet(config.cluster, config.sandbox, config.run_name, say=console.note, plugins=config.plugins)
        try:
            fleet.open(roles_of(config.stages))
            if config.cluster.address is not None:
                preflight(config, inputs.store.parent, inputs.base)
            result = _run_stages(RunContext(inputs, console, tracker, fleet))
        finally:
            fleet.close()
            transport.remove()
        console.note(f"report: {write_report(inputs.folder)}")
        return result


def explain(config: Config) -> list[tuple[str, str]]:
    """Whether each stage of ``config`` would run, and why: pairs of artifact name and reason. Starts nothing."""
    set_library_environment()
    inputs = RunInputs(config)
    stages = [stage for stage in RECIPE if stage.name in config.stages]
    return [(artifact.stage, artifact.reason()) for stage in stages for artifact in stage.artifacts(inputs)]


def _run_stages(context: RunContext) -> Mapping[str, object]:
    result: Mapping[str, object] = {}
    for stage in RECIPE:
        if stage.name in context.config.stages:
            begin = time.monotonic()
            result = stage.run(context) or result
            context.tracker.log(0, {"timing_s/stage": time.monotonic() - begin}, stage=stage.name)
    return result


def _tracker(inputs: RunInputs, console: Console) -> Tracker:
    config = inputs.config
    tracking = config.tracking
    return Tracker(
        inputs.folder,
        config.run_name,
        tracking.mode,
        tracking.project,
        asdict(config),
        warn=console.warn,
        keep_samples=tracking.keep_samples,
        table_every=config.loop.samples_every,
    )


def _banner(inputs: RunInputs, console: Console, tracker: Tracker) -> None:
    config = inputs.config
    console.banner(
        f"prl_ray {config.run_name}",
        {
            "folder": inputs.folder,
            "model": f"{config.model.path or config.model.name} ({inputs.base})",
            "dtype": f"{inputs.dtype_choice.name}: {inputs.dtype_choice.reason}",
            "memory": short(config, inputs.base, inputs.dtype.itemsize),
            "problems": config.problems.name,
            "reward": config.reward.name,
            "tracking": tracker.url or tracker.mode,
        },
    )
