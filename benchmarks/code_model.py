"""A real code model of 0.5 billion parameters through the whole recipe, with LoRA: what PPO does to it, and the cost.

Problems are MBPP's. ``pass1_*`` are sampled, on held-out problems; ``gain`` is PPO over SFT, paired over them.
``peak_gb`` is the most memory of all processes together since the last start, ``step_s`` the median wall time of a PPO
step, and the rates are the tokens a second of sampling and of the policy's updates. The run resumes where it was
interrupted: the same command goes on from the last stage, step and checkpoint.

  python benchmarks/code_model.py --run FOLDER --path mbpp.jsonl             runs or resumes it there, then stores it
  python benchmarks/code_model.py --run FOLDER --path mbpp.jsonl --tiny      one tiny PPO step that stores nothing
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._code_model import code_model
from benchmarks._peak_memory import PeakMemory
from benchmarks._results import RESULTS, write_result
from benchmarks._runs import execute, figures, pass_headline, stated
from prl_ray import compose
from prl_ray.tracking.metrics_file import read_records

SETTINGS = (
    "name=code_model",
    "problems=mbpp",
    "tracking=off",
    "model.lora.rank=16",
    "model.gradient_checkpointing=true",
    # the longest prompts of MBPP show asserts of thousands of tokens; these leave out a few problems
    "model.max_prompt_tokens=512",
    "model.max_response_tokens=192",
    "algorithm.micro_batch_tokens=1024",
    "teacher.problems=64",
    "teacher.variants_per_problem=3",
    "sft.problems=128",
    "sft.learning_rate=5e-4",
    "prm.learning_rate=5e-4",
    "algorithm.learning_rate=5e-5",
    "loop.steps=16",
    "loop.prompts_per_step=12",
    "loop.samples_per_prompt=4",
    "loop.validate_every=0",
    "loop.checkpoint_every=2",
    "evaluate.problems=100",
    "evaluate.samples=2",
)
TINY = (
    "name=code_model_tiny",
    "stages=[sft,ppo]",
    "sft.problems=0",
    "reward=outcome",
    "algorithm.estimator=rloo",
    "model.max_response_tokens=48",
    "loop.steps=1",
    "loop.prompts_per_step=2",
    "loop.samples_per_prompt=2",
    "loop.filter_groups=false",
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a folder: run or resume the recipe there")
    parser.add_argument("--path", type=Path, required=True, help="mbpp.jsonl")
    parser.add_argument("--wheels", type=Path, help="a folder that holds the model's packages already")
    parser.add_argument("--tiny", action="store_true", help="only show that it starts")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("overrides", nargs="*", help="further config overrides, KEY=VALUE")
    options = parser.parse_args(arguments)
    places = [f"model.path={code_model(options.wheels)}", f"problems.path={options.path.resolve()}"]
    overrides = [*SETTINGS, *(TINY if options.tiny else ()), *options.overrides]
    command = [*overrides, *places, f"runs_dir={options.run.resolve()}"]
    with PeakMemory() as memory:
        minutes = execute(command)
    config = compose(command)
    if options.tiny:
        print(f"one PPO step of {config.run_name} in {minutes:.1f} minutes")
        return
    run = figures(options.run / config.run_name)
    speed = rates(options.run / config.run_name)
    headline = pass_headline(run, {"base": [1], "sft": [1], "ppo": [1]}) | {"peak_gb": memory.total_gb, **speed}
    rows: list[dict[str, Any]] = [
        {"seed": config.seed, **run, "minutes": sum(run["stage_minutes"].values()), "last_start_minutes": minutes}
    ]
    rows[0]["peak_gb"] = memory.gb
    stored = {"command": "python -m prl_ray.train +cluster=local", "overrides": stated(overrides)}
    print(headline, write_result("code_model", headline, stored, rows, folder=options.results))


def rates(folder: Path) -> dict[str, float]:
    """Median seconds of a PPO step, and tokens per second of sampling and of the policy's updates."""
    steps = [
        r.metrics for r in read_records(folder / "metrics.jsonl") if r.stage == "ppo" and "timing_s/step" in r.metrics
    ]

    def median(tokens: str, seconds: str) -> float:
        return statistics.median(step[tokens] / step[seconds] for step in steps if step.get(seconds))

    return {
        "step_s": statistics.median(step["timing_s/step"] for step in steps),
        "sampled_per_s": median("perf/sampled_tokens", "timing_s/gen"),
        "learnt_per_s": median("perf/total_num_tokens", "timing_s/update_actor"),
    }


if __name__ == "__main__":
    main()
