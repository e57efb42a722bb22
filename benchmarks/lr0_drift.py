"""Does anything drift while the weights do not change? PPO through all actors in float32 with a learning rate of 0.

``max_logprob_gap``: largest difference, in nats per token, between the log-probabilities that vLLM reports and those
that the learner computes. ``max_ratio_minus_1``: how far any token's PPO ratio is from 1. ``kl``: mean KL to the
reference. All three are over all steps, and weights are pushed to the engine after each step.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._actors import bench, numbers
from benchmarks._results import RESULTS, write_result
from benchmarks._runs import stated

METRICS = (
    "training/rollout_logprob_gap_max",
    "training/rollout_logprob_gap_mean",
    "training/served_logprob_gap_max",
    "training/weight_version",
    "actor/log_ratio_max",
    "actor/pg_clipfrac",
    "actor/ppo_kl",
    "actor/kl",
    "actor/grad_norm",
    "perf/total_num_tokens",
    "timing_s/step",
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64, help="longest program")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("overrides", nargs="*", help="further config overrides, KEY=VALUE")
    options = parser.parse_args(arguments)
    overrides = [
        f"model={options.model}",
        "model.dtype=float32",
        "algorithm.learning_rate=0",
        "algorithm.dry_run=true",
        "algorithm.critic_warmup=0",
        "algorithm.minibatches=2",
        f"loop.prompts_per_step={options.prompts}",
        "loop.filter_groups=false",
        f"model.max_response_tokens={options.tokens}",
        *options.overrides,
    ]
    with bench(overrides) as b:
        models = b.models()
        loop = b.start_loop(models)
        repeats = []
        for number in range(options.steps):
            metrics, _ = loop.step(number)
            repeats.append(numbers(metrics, METRICS))
            print(f"step {number + 1} of {options.steps}: {repeats[-1]}", flush=True)
    headline = {
        "max_logprob_gap": max(r["training/rollout_logprob_gap_max"] for r in repeats),
        "max_ratio_minus_1": max(math.expm1(r["actor/log_ratio_max"]) for r in repeats),
        "kl": max((r["actor/kl"] for r in repeats), key=abs),
    }
    config = {"overrides": stated(overrides), "models": models.source, "steps": options.steps}
    print(headline, write_result("lr0_drift", headline, config, repeats, folder=options.results))


if __name__ == "__main__":
    main()
