"""How new weights travel from the learner to the engines: the interface of a transport, and the registry of them.

Rank 0 of the learner sends its weights and gets a ticket; the driver passes the ticket to every engine, and each engine
loads the weights of that ticket. Afterwards every engine proves, whatever the transport, that it serves these weights:
``Generator.load`` compares its log-probabilities of a probe text with the learner's.

A transport of your own is a function of a :class:`Route`, chosen by its import path:
``cluster.weights=my_package.transports:over_http``, with keyword-only arguments under ``cluster.weights_params``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from prl_ray.errors import ModelError
from prl_ray.models.named_weights import Weight
from prl_ray.options import Params
from prl_ray.plugins import Registry, checked_params

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from vllm import LLM
    from vllm.v1.worker.gpu_worker import Worker

    from prl_ray.config import ClusterConfig

WEIGHT_TRANSPORTS: Registry[Callable[..., WeightTransport]] = Registry(
    "weight transport",
    "prl_ray.weight_transports",
    {
        "object_store": "prl_ray.actors.transports.object_store:ObjectStore",
        "filesystem": "prl_ray.actors.transports.filesystem:filesystem",
        "nccl": "prl_ray.actors.transports.nccl:Nccl",
    },
    how="it must be a function of a Route that returns a WeightTransport",
)
"""Name -> function of a :class:`Route`. A transport is imported when it is first used."""

PROBE_TOLERANCE = {"float32": 1e-2, "bfloat16": 0.15}
"""Mean gap in nats per token between learner and engine on the probe text. Rounding gives 4e-5 and 0.04; wrong weights
give far more."""


class WeightTransport(ABC):
    """Moves weights from the learner to the engines. Rank 0 of the learner has one such object, and every engine has
    one.

    Both are made by the same function with the same arguments. An engine that Ray restarted loads the newest ticket
    again: the weights of a ticket must stay available until the next but one has been sent.
    """

    settles_engines: ClassVar[bool] = False
    """Whether the number of engines must not change during the run (``Route.engines``)."""

    @abstractmethod
    def send(self, version: int, weights: Iterable[Weight], dtype: torch.dtype) -> object:
        """Makes weights available to all engines, on the learner's side.

        Args:
            version: Grows with every update of the policy.
            weights: The policy's weights, adapters merged in, in the order of its state dict. All of them must be read:
                the other ranks of a sharded policy take part in each. A tensor that is kept stays as it is until the
                next update; a sharded policy's tensors are copies in main memory.
            dtype: Of the engines: floating-point tensors are sent in it (``in_main_memory``).

            An engine must be given a tied weight under each of its names: one that is given the embedding alone raises
            no error and continues to serve the old output head.

        Returns:
            The ticket: small, and Ray can carry it.
        """

    @abstractmethod
    def load(self, engine: LLM, ticket: object) -> None:
        """Loads the weights of a ticket into an engine, on the engine's side. Raises ``ModelError`` where they are not
        there."""

    def fetch(self, ticket: object) -> None:  # noqa: B027  # most transports load in one go
        """Brings the weights of a ticket near, on the engine's side, so that ``load`` takes less long. It must not
        touch the engine, which samples meanwhile in another thread."""

    def engine_options(self) -> dict[str, object]:
        """Further arguments with which vLLM's ``LLM`` is to be made."""
        return {}

    def remove(self) -> None:  # noqa: B027  # most transports leave nothing
        """Removes sent weights that lie outside the actors. The driver calls it when no engine needs it any more."""


@dataclass(frozen=True, slots=True)
class Route:
    """The run, as a transport sees it."""

    folder: Path
    """A folder of the run, on a file system that all nodes share; not created yet."""
    engines: int = 1
    """Number of engines."""
    ranks: int = 1
    """Processes of one engine."""
    on_gpus: bool = False
    """Whether the learner and all engines have whole GPUs, each its own."""


@dataclass(frozen=True, slots=True)
class TransportSetup:
    """The transport that a configuration chooses, as actors get it."""

    route: Route = field(default_factory=lambda: Route(Path("weights")))
    name: str = "object_store"
    params: Params = field(default_factory=dict)

    @classmethod
    def of(cls, cluster: ClusterConfig, run_folder: Path) -> Self:
        """The transport of a run."""
        on_gpus = cluster.learner_gpus >= 1 and cluster.generator_gpus >= 1
        route = Route(run_folder / "weights", cluster.generators, cluster.generator_ranks, on_gpus)
        return cls(route, cluster.weights, cluster.weights_params)

    def open(self) -> WeightTransport:
        """The transport. Raises ``ConfigError`` for an unknown name or parameter, or where it cannot work here."""
        make = WEIGHT_TRANSPORTS.find(self.name)
        return make(self.route, **checked_params(make, self.params, "cluster.weights_params"))


@dataclass(frozen=True, slots=True)
class SentWeights:
    """Weights that were sent, and the probe that shows that an engine serves them."""

    version: int
    ticket: object
    """Of the transport."""
    probe_tokens: tuple[int, ...]
    """A text whose log-probabilities show that an engine really serves these weights."""
    probe_logprobs: NDArray[np.float32]
    """float32 ``[len(probe_tokens) - 1]``: the learner's log-probabilities of each token but the first."""


@dataclass(frozen=True, slots=True)
class Served:
    """The weight version that an engine serves, and the gap of its log-probabilities to the learner's on the
    probe text, in nats."""

    version: int
    gap_mean: float
    gap_max: float


def proved(version: int, found: NDArray[np.float32], expected: NDArray[np.float32], dtype: str) -> Served:
    """The served weights of an engine that loaded ``version``, after a comparison of its log-probabilities of the probe
    text with the learner's, both float32 ``[tokens - 1]``. Raises ``ModelError`` if it serves other weights than the
    learner has."""
    gap = np.abs(found - expected)
    if not gap.mean() < PROBE_TOLERANCE[dtype]:
        raise ModelError(
            f"the engine loaded weight version {version} but serves other weights: log-probabilities are off by "
            f"{gap.mean():.3f} nats per token on average; vLLM cannot load weights of this architecture anew"
        )
    return Served(version, float(gap.mean()), float(gap.max()))


def reload_weights(engine: LLM, weights: Iterable[tuple[str, Tensor]], ranks: int = 1) -> None:
    """Loads named tensors into an engine of so many ``ranks``, tied ones under each of their names.

    One rank is in this process. Several are processes of their own and read the tensors from a folder in shared memory.
    """
    if ranks == 1:
        engine.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights)})
        return
    from prl_ray.models.shard_files import write_folder

    memory = Path("/dev/shm")
    with TemporaryDirectory(prefix="prl_ray-weights-", dir=memory if memory.is_dir() else None) as folder:
        write_folder(Path(folder), (Weight(name, tensor.clone()) for name, tensor in weights), 1 << 28)
        reload_folder(engine, Path(folder))


def reload_folder(engine: LLM, folder: Path) -> None:
    """Loads a folder of ``write_folder`` into an engine; each of its ranks reads the files itself."""
    engine.collective_rpc(_read_into, args=(folder,))


def _read_into(worker: Worker, folder: Path) -> None:
    from prl_ray.models.shard_files import read_folder

    worker.reload_weights(weights_iterator=read_folder(folder))
