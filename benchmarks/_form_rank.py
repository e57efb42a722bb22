"""One rank of a few steps of training in some form; prints losses, norms and log-probabilities as one line of JSON.

Arguments: rank, ranks, port, folder of the model, form (plain, packed, zero3, lora, lora3), a folder to write to, and
the number of response tokens of the longest sample.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch import Tensor

from prl_ray.actors.engine import sum_over_ranks
from prl_ray.actors.learner_policy import LearnerPolicy
from prl_ray.actors.meeting import RankInfo
from prl_ray.actors.weights import WeightTransport
from prl_ray.config import AlgorithmConfig, LoraConfig, ModelConfig
from prl_ray.models.named_weights import Weight, in_main_memory
from prl_ray.models.output_head import output_head
from prl_ray.models.policy import load_tokenizer
from prl_ray.ppo.collate import PaddedBatch, flat_rows
from prl_ray.trajectory import TrajectoryBatch

STEPS, SAMPLES, PROMPT = 3, 5, 3
PROBE = (5, 6, 7, 8, 9)
RATE = 1e-3


def main(rank: int, world: int, port: int, folder: Path, form: str, out: Path, length: int) -> None:
    join(rank, world, port)
    info = RankInfo(rank, world, None, 60.0)
    policy = LearnerPolicy(folder, algorithm(form, length), training(form), torch.float32, info, 3)
    batch, rows = samples(length), np.arange(SAMPLES)
    mine = rows if world == 1 else rows[:3] if rank == 0 else rows[3:]
    found: dict[str, Any] = {"losses": [], "norms": [], "seconds": []}
    found["first"] = policy.logprobs_and_entropies(batch, mine, 1.0)[0].tolist()
    for step in range(STEPS):
        start = time.perf_counter()
        found["losses"].append(backward(policy, batch, rows))
        found["norms"].append(policy.engine.step(RATE))
        found["seconds"].append(time.perf_counter() - start)
        if step == 0:
            policy.engine.save(out / "checkpoint", "actor")
    found["last"] = policy.logprobs_and_entropies(batch, mine, 1.0)[0].tolist()
    reference = policy.reference_logprobs(batch, mine, 1.0)
    found["reference"] = [] if reference is None else reference.tolist()
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sent = policy.sent(Sums(), 1, PROBE)
    found["sent"] = {} if sent is None else sent.ticket
    found["probe"] = [] if sent is None else sent.probe_logprobs.tolist()
    policy.export(load_tokenizer(folder), out / "model")
    policy.engine.load(out / "checkpoint", "actor")
    for _ in range(STEPS - 1):
        backward(policy, batch, rows)
        policy.engine.step(RATE)
    found["again"] = policy.logprobs_and_entropies(batch, mine, 1.0)[0].tolist()
    print("FOUND" + json.dumps(found), flush=True)


class Sums(WeightTransport):
    """Sends nothing: the ticket is the sum of the absolute values of every weight that is not tied to another."""

    def send(self, version: int, weights: Iterable[Weight], dtype: torch.dtype) -> dict[str, float]:
        return {w.name: float(w.value.abs().sum()) for w in in_main_memory(weights, dtype) if not w.same_as}

    def load(self, engine: object, ticket: object) -> None:
        raise NotImplementedError("there is no engine")


def join(rank: int, world: int, port: int) -> None:
    """Makes this process a rank without Ray."""
    places = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": "0"}
    os.environ.update(places, DS_ACCELERATOR="cpu", RANK=str(rank), WORLD_SIZE=str(world))
    import deepspeed

    # faster sums between ranks of one host, which take minutes to compile and change nothing here
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="gloo", verbose=False)


def algorithm(form: str, length: int) -> AlgorithmConfig:
    """One sample a pass, packed all of them; a KL penalty, so that there is a reference."""
    stage, packed = 3 if form in ("zero3", "lora3") else 1, form == "packed"
    tokens = max(64, (length + PROMPT) * (SAMPLES if packed else 1))
    return AlgorithmConfig(zero_stage=stage, kl_coef=0.1, micro_batch_tokens=tokens, packed=packed, learning_rate=RATE)


def training(form: str) -> ModelConfig:
    """By adapters or whole."""
    return ModelConfig(lora=LoraConfig(rank=4 if form.startswith("lora") else 0))


def samples(length: int) -> TrajectoryBatch:
    """Five samples of random tokens, each a tenth shorter than the one before, behind prompts of their own numbers."""
    lengths = np.array([length - i * length // 10 for i in range(SAMPLES)])
    tokens = np.random.default_rng(0).integers(3, 90, lengths.sum()).astype(np.int32)
    each = np.arange(SAMPLES + 1, dtype=np.int64)
    return TrajectoryBatch(
        task_ids=("random",) * SAMPLES,
        prompt_ids=np.arange(SAMPLES, dtype=np.int64),
        programs=("",) * SAMPLES,
        finished=np.ones(SAMPLES, dtype=np.bool_),
        prompt_tokens=np.tile(np.array([5, 6, 7], dtype=np.int32), SAMPLES),
        prompt_offsets=each * PROMPT,
        tokens=tokens,
        token_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        logprobs=np.zeros(len(tokens), dtype=np.float32),
        weight_versions=np.zeros(len(tokens), dtype=np.int32),
        line_ends=(lengths - 1).astype(np.int32),
        line_offsets=each,
        line_neutral=np.zeros(SAMPLES, dtype=np.bool_),
    )


def backward(policy: LearnerPolicy, batch: TrajectoryBatch, rows: np.ndarray) -> float:
    """The gradient of the mean negative log-probability; that mean over all ranks."""
    total = 0.0
    parts = policy.forward.micro_batches(batch, rows, policy.info.rank, policy.info.world)
    for i, padded in enumerate(parts):

        def loss_of(hidden: Tensor, padded: PaddedBatch = padded) -> Tensor:
            states = flat_rows(hidden, padded.predicts)
            return -output_head(policy.module).logprobs(states, padded.targets)[0].sum() / len(batch.tokens)

        loss = policy.forward.read(padded, loss_of)
        total += loss.item()
        policy.engine.backward(loss, last=i == len(parts) - 1)
    return float(sum_over_ranks(np.array([total]), policy.info.world)[0])


if __name__ == "__main__":
    rank, world, port, folder, form, out, length = sys.argv[1:]
    main(int(rank), int(world), int(port), Path(folder), form, Path(out), int(length))
