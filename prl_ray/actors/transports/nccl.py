"""Weights from GPU to GPU by vLLM's own weight-transfer engine.

Not run by the tests of this repository, which have no GPUs: take it as a starting point, and look at
``training/served_logprob_gap_mean`` in its first steps. Each push makes a group of its own, of the learner's rank 0 and
all engines, so that an engine that Ray restarted takes part in the next one. An engine that is lost during a push makes
the push fail after NCCL's time limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, cast

import torch

from prl_ray.actors.weights import Route, WeightTransport
from prl_ray.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor
    from vllm import LLM
    from vllm.distributed.weight_transfer.base import ParamMeta

    from prl_ray.models.named_weights import Weight


class Update(TypedDict):
    """Description of the tensors for vLLM's ``update_weights``, in the order in which they are sent."""

    names: list[str]
    dtype_names: list[str]
    shapes: list[list[int]]


@dataclass(frozen=True, slots=True)
class Broadcast:
    """The ticket: the learner's address, and the shapes of the tensors that it sends."""

    address: str
    port: int
    """Of the NCCL group."""
    counter_port: int
    """Of the store at which each engine gets its number."""
    world: int
    update: Update


class Nccl(WeightTransport):
    """Broadcast over NVLink, InfiniBand or the network that NCCL finds."""

    settles_engines = True

    def __init__(self, route: Route) -> None:
        if not route.on_gpus:
            raise ConfigError(
                "config: cluster.weights=nccl sends from one GPU to another, and this layout has none for each: set "
                "cluster.learner_gpus=1 and cluster.generator_gpus=1, or take cluster.weights=object_store"
            )
        if route.ranks > 1:
            raise ConfigError(
                "config: cluster.weights=nccl sends to engines of one rank; with cluster.generator_tensor_parallel or "
                "cluster.generator_pipeline_parallel take cluster.weights=object_store or filesystem"
            )
        self.world = 1 + route.engines
        self._thread = ThreadPoolExecutor(1, "weights")
        self._sending: Future[None] | None = None

    def engine_options(self) -> dict[str, object]:
        """vLLM makes its side of the transfer when the engine starts."""
        from vllm.config import WeightTransferConfig

        return {"weight_transfer_config": WeightTransferConfig(backend="nccl")}

    def send(self, version: int, weights: Iterable[Weight], dtype: torch.dtype) -> Broadcast:
        """Sends in the background, when all engines have joined. Raises the error of a previous push that failed.

        vLLM must know all names and shapes before the first tensor: merged and gathered weights wait in main memory.
        """
        import ray

        from prl_ray.actors.meeting import free_port

        if self._sending is not None:
            self._sending.result()
        tensors: dict[str, Tensor] = {}
        for weight in weights:
            value = tensors[weight.same_as] if weight.same_as else weight.value.detach()
            tensors[weight.name] = value.to(dtype) if value.is_floating_point() else value
        update = Update(
            names=list(tensors),
            dtype_names=[str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()],
            shapes=[list(tensor.shape) for tensor in tensors.values()],
        )
        ticket = Broadcast(str(ray.util.get_node_ip_address()), free_port(), free_port(), self.world, update)
        counter = torch.distributed.TCPStore(ticket.address, ticket.counter_port, None, True, wait_for_workers=False)
        self._sending = self._thread.submit(_broadcast, ticket, tensors, counter)
        return ticket

    def load(self, engine: LLM, ticket: object) -> None:
        """Joins the group of a push, receives, and leaves it."""
        sent = cast("Broadcast", ticket)
        number = torch.distributed.TCPStore(sent.address, sent.counter_port).add("engines", 1)
        place = {"master_address": sent.address, "master_port": sent.port, "rank_offset": number}
        wire = {"world_size": sent.world, "packed": True}
        engine.collective_rpc("init_weight_transfer_engine", kwargs={"init_info": {**place, **wire}})
        engine.collective_rpc("start_weight_update")
        engine.collective_rpc("update_weights", kwargs={"update_info": dict(sent.update)})
        engine.collective_rpc("finish_weight_update")
        engine.collective_rpc("shutdown_weight_transfer_engine")


def _broadcast(ticket: Broadcast, tensors: Mapping[str, Tensor], counter: torch.distributed.TCPStore) -> None:
    """The learner's side of one push. ``counter`` is only kept alive: the engines count at it."""
    from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo, NCCLTrainerWeightTransferEngine

    place = NCCLTrainerInitInfo(ticket.address, ticket.port, ticket.world, packed=True, rank=0)
    trainer = NCCLTrainerWeightTransferEngine.trainer_init(place, client=_ByTheDriver(), source=_Tensors(tensors))
    trainer.send_weights()
    trainer.model_update_group.destroy()


class _Tensors:
    """vLLM's ``WeightSource`` over named tensors."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors

    def metadata(self) -> list[ParamMeta]:
        from vllm.distributed.weight_transfer.base import ParamMeta

        return [ParamMeta(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in self._tensors.items()]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        for name, tensor in self._tensors.items():
            yield name, tensor.to("cuda")


class _ByTheDriver:
    """vLLM's ``VLLMWeightSyncClient``: here the driver calls the engines, not the trainer."""

    def init_weight_transfer_engine(self, init_info: dict[str, object]) -> None: ...

    def start_weight_update(self) -> None: ...

    def update_weights(self, update_info: dict[str, object]) -> None: ...

    def finish_weight_update(self, weight_version: str | None = None) -> None: ...
