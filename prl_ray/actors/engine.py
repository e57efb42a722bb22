"""A torch module trained by DeepSpeed: one optimizer step over micro-batches and ranks that equals one big batch.

Losses arrive as sums already divided by the weight of the whole mini-batch over all ranks (see ``prl_ray.ppo.losses``).
DeepSpeed averages gradients over ranks, so each loss is multiplied by the number of ranks: sharding changes nothing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from prl_ray.actors.extension import build_extension
from prl_ray.actors.meeting import RankInfo, meet
from prl_ray.errors import CheckpointError
from prl_ray.models.dtype import dither
from prl_ray.ppo.losses import LossOutput, mean_metrics


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """DeepSpeed's settings."""

    learning_rate: float
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    zero_stage: int = 1
    dtype: torch.dtype = torch.float32


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
        # One rank has nothing to partition, and stage 0 does without the bookkeeping.
        stage = settings.zero_stage if world > 1 else 0
        bf16 = settings.dtype == torch.bfloat16
        config: dict[str, object] = {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": 1,
            "bf16": {"enabled": bf16},
            "zero_optimization": {"stage": stage},
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
            "gradient_clipping": settings.max_grad_norm,
            "steps_per_print": 10**9,
        }
        if bf16 and stage:
            config["data_types"] = {"grad_accum_dtype": "fp32"}
        if on_gpu:
            module.to("cuda")
        self._engine, self._optimizer, _, _ = deepspeed.initialize(model=module, optimizer=optimizer, config=config)
        self.module: nn.Module = self._engine.module
        if bf16:
            self._dither_masters(optimizer)
        # Without ZeRO and bf16 DeepSpeed clips the gradients in place and forgets their norm.
        self._plain = not stage and not bf16
        # One rank has nothing to reduce; DeepSpeed would copy every gradient into a bucket and back.
        self._engine.enable_backward_allreduce = world > 1

    @property
    def device(self) -> torch.device:
        """Device of the micro-batches."""
        return next(self.module.parameters()).device

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
    def _dither_masters(self, optimizer: torch.optim.Optimizer) -> None:
        """DeepSpeed has replaced the parameters by the float32 masters, or this rank's part of them."""
        # far from the small seeds of a new head: noise of the same stream would correlate with the weights
        generator = torch.Generator(self.device).manual_seed(0xD17E5 + torch.distributed.get_rank())
        for group in optimizer.param_groups:
            for master in group["params"]:
                master.copy_(dither(master, torch.bfloat16, generator))

    def _plain_norm(self) -> float:
        gradients = [p.grad for p in self.module.parameters() if p.grad is not None]
        return float(torch.nn.utils.get_total_norm(gradients))

    def save(self, folder: Path, name: str) -> None:
        """Writes weights and optimizer state; every rank calls it."""
        self._engine.save_checkpoint(str(folder / name), tag="state")

    def load(self, folder: Path, name: str) -> None:
        """Loads what ``save`` wrote, with the same number of ranks."""
        there = any((folder / name / "state").glob("*.pt"))
        # if the folder is missing, DeepSpeed only warns and continues
        if not there or self._engine.load_checkpoint(str(folder / name), tag="state")[0] is None:
            raise CheckpointError(f"{folder / name} holds no state that DeepSpeed can load")
