"""The trained state of a module, for any number of ranks: of each trained parameter the float32 master and
Adam's two moments, whole.

DeepSpeed's own checkpoints hold the parts of its ranks and load with as many ranks as wrote them. These files hold
whole parameters: all ranks gather one after the other, and take turns in writing them. Any number of ranks and any ZeRO
stage reads them again.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from prl_ray.errors import CheckpointError, ModelError
from prl_ray.models.named_weights import Weight
from prl_ray.models.shard_files import read_folder, write_folder

if TYPE_CHECKING:
    from deepspeed.runtime.base_optimizer import ZeROOptimizer
    from deepspeed.runtime.bf16_optimizer import BF16_Optimizer
    from deepspeed.runtime.fp16.unfused_optimizer import FP16_UnfusedOptimizer
    from deepspeed.runtime.zero.stage3 import DeepSpeedZeroOptimizer_Stage3

MASTER, MOMENTS = "master", ("exp_avg", "exp_avg_sq")
PARTS = (MASTER, *MOMENTS)
SHARD_BYTES = 1 << 28
SHARDED = 3
"""The ZeRO stage that also shards parameters."""
STEPS = "optimizer.json"


class TrainingState(ABC):
    """The state of one module's AdamW, by parameter and part (``PARTS``). All ranks make the same calls."""

    def __init__(self, adam: torch.optim.Optimizer) -> None:
        self.adam = adam

    @abstractmethod
    def masters(self) -> list[Tensor]:
        """The tensors that AdamW updates in this process: parameters, or this rank's flat parts of them."""

    @abstractmethod
    def whole(self, parameter: nn.Parameter, part: str) -> Tensor:
        """A part of a parameter's state, float32, in the parameter's whole shape."""

    @abstractmethod
    def write(self, parameter: nn.Parameter, part: str, value: Tensor) -> None:
        """Replaces a part, or this rank's share of it."""

    @abstractmethod
    def written(self) -> None:
        """After all masters were written: the module's parameters follow."""

    @property
    def steps(self) -> float:
        """Optimizer steps so far, as Adam's bias correction counts them."""
        known = [float(self.adam.state[master]["step"]) for master in self.masters() if self.adam.state.get(master)]
        return max(known, default=0.0)

    def begin(self) -> None:
        """Makes the moments where there was no step yet, with the values that Adam would begin with."""
        for master in self.masters():
            if not self.adam.state.get(master):
                moments = {moment: torch.zeros_like(master.detach()) for moment in MOMENTS}
                self.adam.state[master] = {"step": torch.zeros((), dtype=torch.float32, device=master.device)} | moments

    def set_steps(self, steps: float) -> None:
        """Goes on after so many steps."""
        for master in self.masters():
            self.adam.state[master]["step"].fill_(steps)


class PlainState(TrainingState):
    """Float32 on one rank: the masters are the module's parameters."""

    def masters(self) -> list[Tensor]:
        """The parameters themselves."""
        return [parameter for group in self.adam.param_groups for parameter in group["params"]]

    def whole(self, parameter: nn.Parameter, part: str) -> Tensor:
        """The tensor itself: there is one copy."""
        return self._held(parameter, part)

    def write(self, parameter: nn.Parameter, part: str, value: Tensor) -> None:
        """Copies into that tensor."""
        self._held(parameter, part).copy_(value)

    def written(self) -> None:
        """Nothing else has to follow."""

    def _held(self, parameter: nn.Parameter, part: str) -> Tensor:
        master = self._master(parameter)
        held: Tensor = master.data if part == MASTER else self.adam.state[master][part]
        return held

    def _master(self, parameter: nn.Parameter) -> Tensor:
        return parameter


class CopiedState(PlainState):
    """Bfloat16 on one rank: a float32 master for each parameter."""

    def __init__(self, adam: torch.optim.Optimizer, wrapped: FP16_UnfusedOptimizer) -> None:
        super().__init__(adam)
        groups = zip(wrapped.fp16_groups, wrapped.fp32_groups, strict=True)
        self.pairs = [pair for low, high in groups for pair in zip(low, high, strict=True)]
        self._of = {id(low): high for low, high in self.pairs}
        self.set_steps(0)  # DeepSpeed has made an empty one, with which the bias correction would be wrong

    def written(self) -> None:
        """Rounds each master into its parameter."""
        for low, high in self.pairs:
            low.data.copy_(high.data)

    def _master(self, parameter: nn.Parameter) -> Tensor:
        master: Tensor = self._of[id(parameter)]
        return master


class FlatState(TrainingState):
    """ZeRO 1 and 2: each rank has a part of the flat masters, with DeepSpeed's map from parameters to it."""

    def __init__(self, adam: torch.optim.Optimizer, wrapped: ZeROOptimizer | BF16_Optimizer) -> None:
        super().__init__(adam)
        self.wrapped = wrapped

    def masters(self) -> list[Tensor]:
        """One flat part a group."""
        return [flat for group in self.adam.param_groups for flat in group["params"]]

    def begin(self) -> None:
        """Links the moments to the parameters too, which else the first step does."""
        super().begin()
        self.wrapped._lazy_init_hp_params_optimizer_state()

    def whole(self, parameter: nn.Parameter, part: str) -> Tensor:
        """The sum over the ranks' shares of it."""
        found: Tensor = parameter.get_full_hp_param(None if part == MASTER else part)  # type: ignore[attr-defined]
        return found

    def write(self, parameter: nn.Parameter, part: str, value: Tensor) -> None:
        """Copies this rank's part, if it has any."""
        parameter.set_full_hp_param(value, None if part == MASTER else part)  # type: ignore[attr-defined]

    def written(self) -> None:
        """Rounds the masters into the parameters, and gathers these."""
        self.wrapped.update_lp_params()


class ShardedState(TrainingState):
    """ZeRO 3: each rank has a part of every parameter, and of its state."""

    def __init__(self, adam: torch.optim.Optimizer, wrapped: DeepSpeedZeroOptimizer_Stage3) -> None:
        super().__init__(adam)
        self.wrapped = wrapped

    def masters(self) -> list[Tensor]:
        """One flat part a group."""
        found: list[Tensor] = self.wrapped.fp32_partitioned_groups_flat
        return found

    def whole(self, parameter: nn.Parameter, part: str) -> Tensor:
        """Puts the ranks' parts together."""
        found: Tensor = self.wrapped.get_full_hp_param(parameter, None if part == MASTER else part)
        return found

    def write(self, parameter: nn.Parameter, part: str, value: Tensor) -> None:
        """Copies this rank's part, also into its shard of the parameter."""
        shard: Tensor = parameter.ds_tensor  # type: ignore[attr-defined]
        start = torch.distributed.get_rank() * shard.numel()
        own = torch.zeros(shard.numel(), dtype=torch.float32)  # the last ranks' parts are padded
        values = value.flatten()[start : start + shard.numel()]
        own[: len(values)] = values
        self.wrapped.set_local_hp_param(own, parameter, None if part == MASTER else part)
        if part == MASTER:
            shard.data.copy_(own)

    def written(self) -> None:
        """Gathers the small parameters, which DeepSpeed keeps whole between passes."""
        if small := self.wrapped.persistent_parameters:
            small[0].all_gather(small)


def state_of(adam: torch.optim.Optimizer, wrapped: object, stage: int, bf16: bool) -> TrainingState:
    """The form in which DeepSpeed's ``wrapped`` optimizer holds masters and moments at a ZeRO stage (0 for none)."""
    if stage == SHARDED:
        return ShardedState(adam, wrapped)
    if stage:
        return FlatState(adam, wrapped)
    return CopiedState(adam, wrapped) if bf16 else PlainState(adam)


def save_state(state: TrainingState, module: nn.Module, folder: Path) -> None:
    """Writes the state of every trained parameter below ``folder``. Every rank calls it and writes its part of them."""
    rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
    state.begin()
    own = folder / f"rank_{rank:05d}"
    own.mkdir(parents=True)
    write_folder(own, _gathered(state, module, rank, world), SHARD_BYTES)
    if rank == 0:
        (folder / STEPS).write_text(json.dumps({"steps": state.steps, "writers": world}))


def load_state(state: TrainingState, module: nn.Module, folder: Path) -> None:
    """Loads the files of ``save_state``. Every rank calls it and reads all of it.

    Raises:
        CheckpointError: there is no such state, or it is that of another module.
    """
    try:
        saved = json.loads((folder / STEPS).read_text(encoding="utf-8"))
        missing = _write_all(state, _named(module), folder, int(saved["writers"]))
    except (OSError, ValueError, KeyError, ModelError) as error:
        raise CheckpointError(f"{folder} holds no state that can be loaded: {error}") from error
    if missing:
        raise CheckpointError(f"{folder} is the state of another model: it has no {sorted(missing)[0]}")
    state.set_steps(float(saved["steps"]))
    state.written()


def _write_all(state: TrainingState, named: Mapping[str, nn.Parameter], folder: Path, writers: int) -> set[str]:
    """Writes the contents of the files into the state. Returns the names of the parts that are in none of them."""
    state.begin()
    missing = {f"{part}.{name}" for name in named for part in PARTS}
    for writer in range(writers):
        for key, value in read_folder(folder / f"rank_{writer:05d}"):
            part, _, name = key.partition(".")
            if name not in named:
                raise ModelError(f"it has {name}, which this model does not train")
            state.write(named[name], part, value.to(named[name].device))
            missing.discard(key)
    return missing


@torch.no_grad()
def _gathered(state: TrainingState, module: nn.Module, rank: int, world: int) -> Iterator[Weight]:
    """This rank's share of all parts. Every rank takes part in gathering each."""
    for number, (name, parameter) in enumerate(_named(module).items()):
        for part in PARTS:
            value = state.whole(parameter, part)
            if number % world == rank:
                yield Weight(f"{part}.{name}", value.detach().to("cpu", torch.float32).contiguous())


def _named(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
