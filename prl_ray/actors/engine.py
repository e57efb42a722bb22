"""A torch module trained by DeepSpeed: one optimizer step over micro-batches and ranks that equals one big batch.

Losses arrive as sums already divided by the weight of the whole mini-batch over all ranks (see ``prl_ray.ppo.losses``).
DeepSpeed averages gradients over ranks, so each loss is multiplied by the number of ranks: sharding changes nothing.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from prl_ray.actors.extension import build_extension
from prl_ray.actors.meeting import RankInfo, meet
from prl_ray.actors.training_state import SHARDED, load_state, save_state, state_of
from prl_ray.config import AlgorithmConfig
from prl_ray.models.adapters import merged_weights
from prl_ray.models.dtype import dither
from prl_ray.models.named_weights import Weight
from prl_ray.ppo.losses import LossOutput, mean_metrics

T = TypeVar("T")
BUCKET = 1 << 24
"""Elements."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """DeepSpeed's settings."""

    learning_rate: float
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    zero_stage: int = 1
    offload: str = "none"
    """The part kept in main memory between its uses: none, the optimizer, or all (the parameters too, with stage 3)."""
    dtype: torch.dtype = torch.float32


def engine_settings(algorithm: AlgorithmConfig, learning_rate: float, dtype: torch.dtype) -> EngineSettings:
    """Settings of DeepSpeed for one model of PPO."""
    return EngineSettings(
        learning_rate=learning_rate,
        max_grad_norm=algorithm.max_grad_norm,
        zero_stage=algorithm.zero_stage,
        offload=algorithm.offload,
        dtype=dtype,
    )


def join_group(info: RankInfo) -> None:
    """Makes this process a rank: gloo on CPUs, NCCL where the rank has a GPU."""
    on_gpu = torch.cuda.is_available()
    if not on_gpu:
        # Without this DeepSpeed looks for Intel's oneCCL on a CPU.
        os.environ["DS_ACCELERATOR"] = "cpu"
    address, port = meet(info)
    os.environ.update(
        MASTER_ADDR=address,
        MASTER_PORT=str(port),
        RANK=str(info.rank),
        WORLD_SIZE=str(info.world),
        # Ray shows each actor only its own GPU, which is therefore always number 0.
        LOCAL_RANK="0",
    )
    import deepspeed

    # DeepSpeed's calls of torch, with parameters that are sharded
    warnings.filterwarnings("ignore", r"`torch\.distributed\.\w+` is deprecated", FutureWarning)
    if not on_gpu:
        build_extension()
    deepspeed.init_distributed(dist_backend="nccl" if on_gpu else "gloo", verbose=False)


def all_reduce_sum(values: np.ndarray) -> np.ndarray:
    """Sums a float64 numpy array over all ranks."""
    return _all_reduced(values, torch.distributed.ReduceOp.SUM)


def all_reduce_max(value: float) -> float:
    """The largest of all ranks' values."""
    return float(_all_reduced(value, torch.distributed.ReduceOp.MAX))


def _all_reduced(values: np.ndarray | float, operation: torch.distributed.ReduceOp.RedOpType) -> np.ndarray:
    # NCCL cannot send tensors from main memory
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    tensor = torch.as_tensor(values, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(tensor, op=operation)
    reduced: np.ndarray = tensor.cpu().numpy()
    return reduced


def sum_over_ranks(column: np.ndarray, world: int) -> np.ndarray:
    """Adds up the ranks' parts of a float32 column that is zero outside a rank's own samples."""
    return column if world == 1 else all_reduce_sum(column).astype(np.float32)


def mean_over_ranks(outputs: Sequence[LossOutput], world: int) -> dict[str, float]:
    """Metrics over all micro-batches of all ranks, which all call this."""
    names = list(outputs[0].sums) if outputs else []
    sums = np.array([[o.weight, *(o.sums[n] for n in names)] for o in outputs]).sum(0)
    peaks = {name: max(o.peaks[name] for o in outputs) for name in (outputs[0].peaks if outputs else ())}
    if world > 1:
        sums = all_reduce_sum(sums)
        peaks = {name: all_reduce_max(value) for name, value in peaks.items()}
    whole = LossOutput(torch.zeros(()), float(sums[0]), dict(zip(names, map(float, sums[1:]), strict=True)))
    return mean_metrics([whole]) | peaks


class _Root(nn.Module):
    """The module that DeepSpeed gathers parameters for: a pass of any form, the head's raw weights included.

    DeepSpeed gathers a layer's parameters when the layer is called; those of the output head are read without that.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, compute: Callable[[], object]) -> object:
        """``compute()``."""
        return compute()


def _raw_head(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that ``output_head`` reads without calling their layer."""
    read = getattr(module, "get_output_embeddings", None)
    head: nn.Module | None = read() if read else None
    return [] if head is None else list(head.parameters())


def _buckets(stage: int) -> dict[str, int]:
    """DeepSpeed's buffers of a sharded module, in elements; its own sizes are meant for models of many billions."""
    return {"reduce_bucket_size": BUCKET, "stage3_prefetch_bucket_size": BUCKET} if stage == SHARDED else {}


def _offload(what: str, stage: int) -> dict[str, dict[str, object]]:
    """DeepSpeed's settings for state in main memory."""
    place = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    parts = {"offload_optimizer": what != "none", "offload_param": what == "all" and stage == SHARDED}
    return {part: place for part, moved in parts.items() if moved}


class Engine:
    """Owns a module, its AdamW and its ZeRO partition."""

    def __init__(self, module: nn.Module, settings: EngineSettings, world: int = 1) -> None:
        import deepspeed

        self.world = world
        self.base_lr = settings.learning_rate
        trained = [p for p in module.parameters() if p.requires_grad]
        on_gpu = torch.cuda.is_available()
        optimizer = torch.optim.AdamW(
            trained, lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.95), fused=True
        )
        # One rank has nothing to partition, and stage 0 does without the bookkeeping; only offloading needs it.
        stage = settings.zero_stage if world > 1 or settings.offload != "none" else 0
        self.sharded = stage == SHARDED
        bf16 = settings.dtype == torch.bfloat16
        config: dict[str, object] = {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": 1,
            "bf16": {"enabled": bf16},
            "zero_optimization": {"stage": stage} | _buckets(stage) | _offload(settings.offload, stage),
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
            "gradient_clipping": settings.max_grad_norm,
            "steps_per_print": 10**9,
        }
        if bf16 and stage:
            config["data_types"] = {"grad_accum_dtype": "fp32"}
        if on_gpu and not self.sharded:
            module.to("cuda")
        raw = _raw_head(module) if self.sharded else []
        root = _Root(module) if self.sharded else module
        self._engine, self._optimizer, _, _ = deepspeed.initialize(model=root, optimizer=optimizer, config=config)
        self.module: nn.Module = self._engine.module.model if self.sharded else self._engine.module
        for parameter in raw:
            deepspeed.zero.register_external_parameter(root, parameter)
        self._state = state_of(optimizer, self._optimizer, stage, bf16)
        if bf16:
            self._dither_masters()
        # Without ZeRO and bf16 DeepSpeed clips the gradients in place and forgets their norm.
        self._plain = not stage and not bf16
        # One rank has nothing to reduce; DeepSpeed would copy every gradient into a bucket and back.
        self._engine.enable_backward_allreduce = world > 1

    @property
    def device(self) -> torch.device:
        """Device of the micro-batches."""
        found: torch.device = self._engine.device
        return found

    def run(self, compute: Callable[[], T]) -> T:
        """``compute()``, which may call the module and its parts: every pass of the module goes through here.

        The parameters of a sharded module are whole only inside; all ranks must make equally many such calls.
        """
        if not self.sharded:
            return compute()
        found: T = self._engine(compute)
        return found

    def rounds(self, passes: int) -> int:
        """Number of passes that every rank makes, if this one has ``passes`` of its own."""
        return int(all_reduce_max(passes)) if self.sharded else passes

    def gathered(self, parameters: Sequence[Tensor]) -> AbstractContextManager[object]:
        """Within it the parameters are whole, to be read; every rank must enter it."""
        if not self.sharded:
            return nullcontext()
        import deepspeed

        sharded = [p for p in parameters if hasattr(p, "ds_id")]
        context: AbstractContextManager[object] = deepspeed.zero.GatheredParameters(sharded)
        return context

    def weights(self) -> Iterator[Weight]:
        """All weights, adapters merged in, one at a time; every rank iterates over all of them. Those of a sharded
        module are copies in main memory, and only on rank 0."""
        for weight in merged_weights(self.module, self.gathered):
            copied = self.sharded and not weight.same_as and torch.distributed.get_rank() == 0
            yield replace(weight, value=weight.value.to("cpu", copy=True)) if copied else weight

    def copies(self) -> dict[str, Tensor]:
        """Copies of the trained weights, for ``restore``; of a sharded module, of this rank's part of them."""
        return {name: held.clone() for name, held in self._held()}

    def restore(self, copies: Mapping[str, Tensor]) -> None:
        """Writes the copies back into the module, to be read: the optimizer does not follow. Every rank calls it."""
        for name, held in self._held():
            held.copy_(copies[name])
        # DeepSpeed keeps small parameters whole between passes
        if self.sharded and (small := self._optimizer.persistent_parameters):
            small[0].all_gather(small)

    def _held(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self.module.named_parameters():
            if parameter.requires_grad:
                yield name, getattr(parameter, "ds_tensor", parameter).data

    def backward(self, loss: Tensor, *, last: bool) -> None:
        """Adds the gradient of a micro-batch; ``last`` marks the mini-batch's last one, after which ranks reduce."""
        self._engine.set_gradient_accumulation_boundary(last)
        self._engine.backward(loss * self.world)

    def step(self, learning_rate: float | None = None) -> float:
        """One optimizer step. Returns the gradient norm before clipping (0 if DeepSpeed does not report it).

        Where the norm is not finite the weights and the optimizer's state stay as they are: DeepSpeed's own optimizers
        see to that, and report an infinite norm; without ZeRO and bf16 the gradients are dropped here.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = self.base_lr if learning_rate is None else learning_rate
        norm = self._plain_norm() if self._plain else None
        if norm is not None and not math.isfinite(norm):
            self._engine.zero_grad()  # DeepSpeed's step would clip them and turn every gradient and weight into NaN
            return norm
        self._engine.step()
        known = self._engine.get_global_grad_norm() if norm is None else norm
        return float(known) if known is not None else 0.0

    @torch.no_grad()
    def _dither_masters(self) -> None:
        """DeepSpeed has replaced the parameters by the float32 masters, or this rank's part of them."""
        masters = self._state.masters()
        # far from the small seeds of a new head: noise of the same stream would correlate with the weights
        generator = torch.Generator(masters[0].device).manual_seed(0xD17E5 + torch.distributed.get_rank())
        for master in masters:
            master.copy_(dither(master, torch.bfloat16, generator))

    def _plain_norm(self) -> float:
        gradients = [p.grad for p in self.module.parameters() if p.grad is not None]
        return float(torch.nn.utils.get_total_norm(gradients))

    def save(self, folder: Path, name: str) -> None:
        """Writes optimizer state and the weights that are trained; every rank calls it."""
        save_state(self._state, self.module, folder / name)

    def load(self, folder: Path, name: str) -> None:
        """Loads the files of ``save``, with any number of ranks. Raises ``CheckpointError``."""
        load_state(self._state, self.module, folder / name)
