"""The DeepSpeed learner compared with a bare PyTorch loop: tokens per second of forward, backward and AdamW step.

Ours is ``prl_ray``'s ``Engine`` in a Ray actor with the policy's loss. The bare loop runs in a separate process: the
Hugging Face model, ``cross_entropy``, ``backward``, gradient clipping and fused AdamW, on the same padded
micro-batches. The two take turns. In bfloat16 both keep float32 master weights. A repeat is one optimizer step over the
same programs; ``ratio`` is the median of ours over bare.
"""

from __future__ import annotations

import argparse
import os
import pickle
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks._results import RESULTS, write_result
from benchmarks._runs import stated
from benchmarks._side import Side, alternate, receive, send, tokens_per_second
from prl_ray.actors.engine import Engine, EngineSettings, join_group
from prl_ray.actors.meeting import RankInfo
from prl_ray.models.policy import attention
from prl_ray.ppo.collate import PaddedBatch, flat_rows


@dataclass(frozen=True)
class Work:
    """The work of both sides in one repeat."""

    policy: Path
    engine: EngineSettings
    micro_batches: list[PaddedBatch]
    tokens: int
    """Prompt and response tokens of all micro-batches, without padding."""

    @property
    def targets(self) -> int:
        """Tokens in the loss."""
        return sum(len(part.targets) for part in self.micro_batches)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--programs", type=int, default=32, help="programs per optimizer step, one per problem")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", help="further config overrides, KEY=VALUE")
    options = parser.parse_args(arguments)
    if options.bare:
        return bare(pickle.loads(options.bare.read_bytes()))
    return compare(options)


def compare(options: argparse.Namespace) -> None:
    """Both sides, in turns, and the result file."""
    import ray

    from benchmarks._actors import SCRATCH, bench

    overrides = [f"model={options.model}", *options.overrides]
    with bench(overrides, roles=()) as b:  # the learner is an actor of this command's own
        models = b.models()
        work = make_work(b, models.policy, options.programs)
        SCRATCH.mkdir(parents=True, exist_ok=True)
        spec = SCRATCH / "learner_throughput.pickle"
        spec.write_bytes(pickle.dumps(work))
        cluster = b.config.cluster
        threads = {"env_vars": {"OMP_NUM_THREADS": str(cluster.threads or os.cpu_count() or 1)}}
        resources = {"num_cpus": cluster.learner_cpus, "num_gpus": cluster.learner_gpus}
        learner = ray.remote(**resources, runtime_env=threads)(EngineActor).remote(work)
        ray.get(learner.step.remote(-1))
        command = [sys.executable, __file__, "--bare", str(spec)]
        with Side(command, SCRATCH / "learner_throughput.log") as side:
            side.ask({"number": -1})
            rows = alternate(
                options.repeats, lambda n: ray.get(learner.step.remote(n)), lambda n: side.ask({"number": n})
            )
    repeats = [{**r, "ratio": tokens_per_second(r["ours"]) / tokens_per_second(r["theirs"])} for r in rows]
    headline = {"ratio": statistics.median(r["ratio"] for r in repeats)}
    config = {
        "overrides": stated(overrides),
        "models": models.source,
        "dtype": str(work.engine.dtype).removeprefix("torch."),
        "programs": options.programs,
        "micro_batches": [list(part.input_ids.shape) for part in work.micro_batches],
        "tokens": work.tokens,
        "ours_tokens_per_second": statistics.median(tokens_per_second(r["ours"]) for r in repeats),
        "bare_tokens_per_second": statistics.median(tokens_per_second(r["theirs"]) for r in repeats),
    }
    print(headline, config, write_result("learner_throughput", headline, config, repeats, folder=options.results))


def make_work(b: Any, policy: Path, programs: int) -> Work:
    """Micro-batches of reference programs, cut as the learner cuts them."""
    import numpy as np

    from prl_ray.examples import as_batch
    from prl_ray.models.encode import encode_program
    from prl_ray.models.policy import load_tokenizer
    from prl_ray.ppo.collate import collate, pack_lengths, packs
    from prl_ray.ppo.packing import plan
    from prl_ray.stages.sft import reference_examples

    algorithm = b.config.algorithm
    examples = reference_examples(b.problems[:programs])
    tokenizer = load_tokenizer(policy)
    batch = as_batch(examples, [encode_program(tokenizer, e.problem, e.program) for e in examples])
    groups = packs(batch, np.arange(len(batch)), algorithm.micro_batch_tokens)
    parts = plan(pack_lengths(batch, groups), algorithm.micro_batch_tokens)
    settings = EngineSettings(
        learning_rate=algorithm.learning_rate,
        max_grad_norm=algorithm.max_grad_norm,
        zero_stage=algorithm.zero_stage,
        dtype=b.inputs.dtype,
    )
    return Work(
        policy,
        settings,
        [collate(batch, [groups[i] for i in part]) for part in parts],
        int(batch.total_lengths.sum()),
    )


class EngineActor:
    """Our side: one DeepSpeed rank in a Ray actor."""

    def __init__(self, work: Work) -> None:
        from prl_ray.actors.forward import Forward
        from prl_ray.models.policy import load_policy

        join_group(RankInfo())
        self.work = work
        model = load_policy(work.policy, work.engine.dtype)
        self.engine = Engine(model, work.engine)
        self.forward = Forward(model, 0)

    def step(self, number: int) -> dict[str, Any]:
        """One optimizer step; -1 warms up."""
        from prl_ray.ppo.logprobs import token_logprobs

        start = time.perf_counter()
        model: Any = self.engine.module
        head = model.get_output_embeddings().weight
        parts, total, loss_sum = self.work.micro_batches, self.work.targets, 0.0
        for i, part in enumerate(parts):
            padded = part.to(self.engine.device)
            states = flat_rows(self.forward.hidden(padded), padded.predicts)
            logprobs, _ = token_logprobs(states, head, padded.targets, with_entropy=False)
            loss = -logprobs.sum() / total
            loss_sum += loss.item()
            self.engine.backward(loss, last=i == len(parts) - 1)
        forward_backward = time.perf_counter() - start
        norm = self.engine.step()
        return _figures(start, forward_backward, self.work, loss_sum, norm)


def bare(work: Work) -> None:
    """The child: a training loop that uses only our micro-batches."""
    from transformers import AutoModelForCausalLM

    on_gpu = torch.cuda.is_available()
    dtype = work.engine.dtype
    model = AutoModelForCausalLM.from_pretrained(str(work.policy), dtype=dtype, attn_implementation=attention()).eval()
    model.to("cuda" if on_gpu else "cpu")
    weights = list(model.parameters())
    masters = weights if dtype == torch.float32 else [w.detach().float().requires_grad_() for w in weights]
    optimizer = torch.optim.AdamW(
        masters, lr=work.engine.learning_rate, weight_decay=work.engine.weight_decay, betas=(0.9, 0.95), fused=True
    )
    send({"ready": True})
    while receive() is not None:
        start = time.perf_counter()
        loss_sum = 0.0
        for part in work.micro_batches:
            loss = bare_loss(model, part.to(model.device)) / work.targets
            loss_sum += loss.item()
            loss.backward()
        forward_backward = time.perf_counter() - start
        if masters is not weights:
            for master, weight in zip(masters, weights, strict=True):
                master.grad = None if weight.grad is None else weight.grad.float()
        norm = torch.nn.utils.clip_grad_norm_(masters, work.engine.max_grad_norm)
        optimizer.step()
        if masters is not weights:
            with torch.no_grad():
                torch._foreach_copy_(weights, masters)
        optimizer.zero_grad()
        model.zero_grad()
        send(_figures(start, forward_backward, work, loss_sum, float(norm)))


def bare_loss(model: Any, part: PaddedBatch) -> torch.Tensor:
    """Summed cross entropy of the response tokens; the head is applied to those only, as an efficient loop would."""
    out = model.model(
        input_ids=part.input_ids, attention_mask=part.attention_mask, position_ids=part.position_ids, use_cache=False
    )
    logits = model.lm_head(flat_rows(out.last_hidden_state, part.predicts))
    return torch.nn.functional.cross_entropy(logits.float(), part.targets, reduction="sum")


def _figures(start: float, forward_backward: float, work: Work, loss: float, norm: float) -> dict[str, Any]:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "tokens": work.tokens,
        "forward_backward_s": forward_backward,
        "optimizer_s": seconds - forward_backward,
        "loss": loss,
        "grad_norm": norm,
    }


if __name__ == "__main__":
    main()
