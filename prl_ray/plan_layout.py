"""Whether a run fits: memory of the roles on each device, settings that would make them fit, and the time of a step."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from prl_ray.config import Config
from prl_ray.errors import ModelError
from prl_ray.plan_memory import GIB, Need, Shape, needs

RATES = Path(__file__).parents[1] / "benchmarks" / "results" / "step_anatomy.json"
RATE_MODEL, RATE_PARAMETERS = "smollm2", 134_515_008
"""The model whose stored seconds are scaled, and its number of parameters."""
CHANGES: tuple[tuple[str, object], ...] = (
    ("model.gradient_checkpointing", True),
    ("algorithm.micro_batch_tokens", 1024),
    ("algorithm.zero_stage", 3),
    ("model.lora.rank", 16),
    ("algorithm.offload", "optimizer"),
    ("algorithm.offload", "all"),
)
"""Changes that reduce a run's memory, cheapest first."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device, or the main memory of one machine, and the actors that share it."""

    name: str
    room: int
    """Bytes."""
    holds: tuple[tuple[Need, int], ...]
    """Roles with their number of actors."""

    @property
    def needed(self) -> int:
        """Bytes, at the time of the role that needs most together with what the others keep."""
        idle = sum(need.idle * count for need, count in self.holds)
        return idle + max(((need.total - need.idle) * count for need, count in self.holds), default=0)

    @property
    def fits(self) -> bool:
        """Whether all of them fit."""
        return self.needed <= self.room


@dataclass(frozen=True, slots=True)
class Plan:
    """The memory that a configuration needs."""

    shape: Shape
    needs: tuple[Need, ...]
    devices: tuple[Device, ...]

    @property
    def fits(self) -> bool:
        """Whether everything fits on every device."""
        return all(device.fits for device in self.devices)


def plan_for(shape: Shape, config: Config, dtype_bytes: int, main_memory: int | None = None) -> Plan:
    """The plan of a validated configuration for a model of ``shape``, on machines with so many bytes of main memory;
    None: as many as this one."""
    from prl_ray.actors.critic_plan import CriticPlan

    critic = CriticPlan.of(config)
    found = needs(shape, config, dtype_bytes, len(critic.reward_models), critic.form)
    memory = psutil.virtual_memory().total if main_memory is None else main_memory
    return Plan(shape, tuple(found), tuple(_devices(found, config, memory)))


def _devices(found: Sequence[Need], config: Config, main_memory: int) -> Iterator[Device]:
    """Roles with whole GPUs have separate ones; roles with fractions of a GPU share one; roles without a GPU use main
    memory, of one machine if Ray is started here."""
    gpu = int(config.cluster.gpu_memory_gb * GIB)
    sharing = [need for need in found if 0 < need.gpus < 1]
    for need in found:
        if need.gpus >= 1:
            yield Device(f"GPU of a {need.role}", gpu, ((need, 1),))
    if sharing:
        yield Device("GPU shared by " + ", ".join(need.role for need in sharing), gpu, tuple((n, 1) for n in sharing))
    held = [(need, need.actors if config.cluster.address is None else 1) for need in found if not need.gpus]
    if held:
        yield Device("main memory", main_memory, tuple(held))


def nearest(shape: Shape, config: Config, dtype_bytes: int, main_memory: int | None = None) -> list[str] | None:
    """The shortest prefix of ``CHANGES`` with which everything fits, without the unnecessary ones; None if nothing
    fits."""
    changed, taken = copy.deepcopy(config), list[tuple[str, object]]()
    for key, value in CHANGES:
        _set(changed, key, value)
        taken.append((key, value))
        if plan_for(shape, changed, dtype_bytes, main_memory).fits:
            return [f"{k}={str(v).lower()}" for k, v in _needed(shape, config, dtype_bytes, main_memory, taken)]
    return None


def _needed(
    shape: Shape, config: Config, dtype_bytes: int, main_memory: int | None, taken: list[tuple[str, object]]
) -> list[tuple[str, object]]:
    for change in list(taken):
        fewer, trial = [t for t in taken if t != change], copy.deepcopy(config)
        for key, value in fewer:
            _set(trial, key, value)
        if plan_for(shape, trial, dtype_bytes, main_memory).fits:
            taken = fewer
    return list(dict(taken).items())


def _set(config: Config, key: str, value: object) -> None:
    *groups, name = key.split(".")
    target: object = config
    for group in groups:
        target = getattr(target, group)
    setattr(target, name, value)


def step_seconds(shape: Shape, config: Config) -> dict[str, float]:
    """Expected seconds of the phases of a PPO step, scaled from the stored step of SmolLM2 on two CPU cores by the
    parameters and the samples; empty on GPUs, for which no rates are stored, and if the results are not installed."""
    if config.cluster.learner_gpus or config.cluster.generator_gpus or not RATES.is_file():
        return {}
    stored = json.loads(RATES.read_text(encoding="utf-8"))["config"]
    samples = config.loop.prompts_per_step * config.loop.samples_per_prompt / stored[RATE_MODEL]["samples"]
    size = shape.parameters / RATE_PARAMETERS
    alone = {"reward", "reward_shaping", "adv"}  # phases without a model
    phases: dict[str, float] = stored["phases"][RATE_MODEL]
    return {name: s * samples * (1 if name in alone else size) for name, s in phases.items() if name != "step"}


def lines(plan: Plan, config: Config, dtype_bytes: int) -> Iterator[str]:
    """The plan as text."""
    yield f"{plan.shape.parameters / 1e6:,.1f} million parameters, {8 * dtype_bytes} bits each"
    for need in plan.needs:
        parts = ", ".join(f"{name} {size / GIB:.2f}" for name, size in need.parts.items())
        yield f"{need.role} × {need.actors}: {need.total / GIB:.2f} GiB ({parts})"
    for device in plan.devices:
        state = "fits" if device.fits else "DOES NOT FIT"
        yield f"{device.name}: {device.needed / GIB:.1f} of {device.room / GIB:.1f} GiB, {state}"
    if not plan.fits:
        found = nearest(plan.shape, config, dtype_bytes)
        yield (
            f"would fit with: {' '.join(found)}" if found else "no setting of this layout fits: more or larger devices"
        )
    if seconds := step_seconds(plan.shape, config):
        phases = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items() if value >= 0.05)
        yield f"a PPO step: about {sum(seconds.values()):.0f} s on two cores ({phases})"


def short(config: Config, folder: Path, dtype_bytes: int) -> str:
    """A one-line plan for the start of a run of the model in ``folder``."""
    try:
        plan = plan_for(shape_of(str(folder)), config, dtype_bytes)
    except ModelError as error:  # an unknown architecture may train well without a plan
        return f"no plan: {error}"
    return "; ".join(f"{d.name} {d.needed / GIB:.1f} of {d.room / GIB:.1f} GiB" for d in plan.devices)


def shape_of(source: str) -> Shape:
    """The shape of the model in a folder or on the hub; only ``config.json`` is fetched.

    Raises ``ModelError`` if it cannot be read.
    """
    from transformers import AutoConfig

    try:
        return Shape.of(AutoConfig.from_pretrained(source))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{source}: its config.json cannot be used for a plan: {error}") from error
