"""Settings of the cluster, the limits of programs, and tracking."""

from __future__ import annotations

from dataclasses import dataclass

from prl_ray.options import Params, option


@dataclass
class ClusterConfig:
    """Number of actors of each role, and the resources that each requests."""

    name: str = option("local", "Name of the layout, for logs.")
    address: str | None = option(
        None, "Address of a running Ray cluster ('auto' finds it); empty starts Ray on this machine."
    )
    generators: int = option(1, "Number of vLLM engines.", low=1)
    generator_cpus: float = option(1.0, "CPUs that one generator requests.", low=0)
    generator_gpus: float = option(0.0, "GPUs that one generator requests, or each of its ranks.", low=0)
    generator_tensor_parallel: int = option(
        1, "Ranks of a generator that share every layer, each on its own GPU; all on one node.", low=1
    )
    generator_pipeline_parallel: int = option(
        1, "Groups of such ranks that share the layers of a generator out among them.", low=1
    )
    generator_sleep: int = option(
        0,
        "vLLM's sleep level of engines while the learner works, where both share a GPU: 1 moves the weights to main "
        "memory, 2 drops them; 0 never sleeps.",
        low=0,
        high=2,
    )
    generator_memory: float = option(
        0.0,
        "Share of a GPU's memory that an engine uses on it; 0 is 0.9 of `generator_gpus`. With `generator_sleep` it "
        "may be larger, since the learner frees its activations meanwhile.",
        low=0,
        high=1,
    )
    verifiers: int = option(1, "Number of sandbox workers.", low=1)
    max_verifiers: int = option(
        0,
        "Size up to which the pool of sandbox workers grows while programs wait and CPUs are free; 0 never grows it.",
        low=0,
    )
    verifier_cpus: float = option(0.25, "CPUs that one verifier requests.", low=0)
    scorers: int = option(1, "Number of actors that score lines with the reward models.", low=1)
    scorer_cpus: float = option(0.25, "CPUs that one scorer requests.", low=0)
    scorer_gpus: float = option(0.0, "GPUs that one scorer requests.", low=0)
    learners: int = option(1, "Number of DeepSpeed ranks.", low=1)
    learner_cpus: float = option(0.5, "CPUs that one rank requests.", low=0)
    learner_gpus: float = option(0.0, "GPUs that one rank requests.", low=0)
    gpu_memory_gb: float = option(80.0, "Memory of one GPU in GiB; read by `python -m prl_ray.plan` only.", low=1)
    threads: int = option(0, "Torch threads of each model actor on a CPU; 0 uses all cores of its node.", low=0)
    env: dict[str, str] = option(
        {},
        "Environment variables of all actors, such as cluster.env.NCCL_SOCKET_IFNAME=eth1 or "
        "cluster.env.HF_HOME=/shared/hf.",
    )
    ship_code: bool = option(
        True,
        "Whether all nodes of a cluster run the driver's own code: prl_ray, sandbox_workers and your plug-ins, which "
        "Ray then carries to them. false takes what is installed on each node, which must be the same.",
    )
    learner_restarts: int = option(
        3, "Times that a run restarts its learners from the newest checkpoint after one of them was lost.", low=0
    )
    weights: str = option(
        "object_store",
        "Transport of new weights from the learner to the engines: a registered name, or package.module:attribute.",
        registry="prl_ray.actors.weights:WEIGHT_TRANSPORTS",
    )
    weights_params: Params = option({}, "Parameters of the weight transport: cluster.weights_params.NAME=VALUE.")
    isolation: str = option("full", "Isolation that the sandbox must provide; see `python -m sandbox_workers doctor`.")
    start_timeout_s: float = option(300.0, "Seconds within which actors must start; else the run fails.", low=1)
    request_timeout_s: float = option(
        900.0, "Seconds after which an unanswered request to an actor counts as lost.", low=1
    )

    @property
    def generator_ranks(self) -> int:
        """Processes of one engine."""
        return self.generator_tensor_parallel * self.generator_pipeline_parallel


@dataclass
class SandboxConfig:
    """Limits of one program."""

    wall_s: float = option(3.0, "Wall seconds.", low=0.05)
    memory_mb: int = option(512, "Memory in MB.", low=16)
    attempts: int = option(3, "Times that a lost verdict is requested again before its sample is masked.", low=1)


@dataclass
class TrackingConfig:
    """Weights & Biases, which mirrors metrics.jsonl."""

    mode: str = option("auto", "Online when logged in, else offline.", choices=("auto", "online", "offline", "off"))
    project: str = option("prl_ray", "W&B project.")
    keep_samples: int = option(
        200,
        "Number of PPO steps whose samples stay in the run folder; the oldest are thinned out first. 0 keeps all.",
        low=0,
    )
