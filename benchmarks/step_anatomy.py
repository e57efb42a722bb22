"""Where the time of a PPO step goes, for both models, compared with a whole step of TRL's online trainer.

Steps are real ones of ``prl_ray.loop.Loop`` over all actors. The model's work is sampling (``gen``), scoring
(``reward``: the reward model, and verdicts that come later than its scores), old and reference log-probabilities,
values and the two updates; ``overhead_share_*`` is all the rest of the step (median over steps): weight transfer,
advantages, shaping, waiting, messages. ``trl_ratio`` is TRL's seconds over ours for smollm2, the two taking turns.

Each model is a part that is kept when it is done; a command that was interrupted goes on with the next part.
Needs ``trl`` (`pip install trl`) unless ``--without-trl``.
"""

from __future__ import annotations

import argparse
import json
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._actors import SCRATCH, Bench, Models, bench, timings
from benchmarks._results import RESULTS, write_result
from benchmarks._runs import stated
from benchmarks._side import Side, alternate
from benchmarks._trl_side import TrlWork
from prl_ray.actors.handles import ask

MODEL_WORK = ("gen", "reward", "old_log_prob", "ref", "values", "update_actor", "update_critic")
PARTS = ("tiny", "smollm2")
PEER = "smollm2"
"""The model that TRL is measured on."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=PARTS, default=list(PARTS), help="parts to measure now")
    parser.add_argument("--steps", type=int, default=3, help="measured steps per model")
    parser.add_argument("--prompts", type=int, default=8, help="prompts per step; with fewer, the overhead weighs more")
    parser.add_argument("--prepare", action="store_true", help="first run the stages before PPO if they are missing")
    parser.add_argument("--untrained", action="store_true", help="base models with a random reward head: a quick check")
    parser.add_argument("--again", action="store_true", help="measure again what was measured already")
    parser.add_argument("--without-trl", action="store_true", help="leave out TRL; no result file is written")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--scratch", type=Path, default=SCRATCH, help="folder of parts and logs")
    parser.add_argument("overrides", nargs="*", help="further config overrides, KEY=VALUE")
    options = parser.parse_args(arguments)
    options.scratch.mkdir(parents=True, exist_ok=True)
    for model in options.models:
        file = part_file(options, model)
        if file.is_file() and not options.again:
            print(f"{model}: measured already ({file})")
            continue
        if options.prepare:
            prepare(model, options.overrides)
        print(f"{model}:")
        file.write_text(json.dumps(measure(model, options), indent=1) + "\n")
    write(options)


def part_file(options: argparse.Namespace, model: str) -> Path:
    """Where a model's part is kept."""
    return options.scratch / f"step_anatomy-{model}.json"


def prepare(model: str, overrides: Sequence[str]) -> None:
    """The stages before PPO, by the recipe itself; what exists is skipped."""
    command = [sys.executable, "-m", "prl_ray.train", f"model={model}", "stages=[label,sft,prm]", "tracking=off"]
    subprocess.run([*command, *overrides], check=True)


def measure(model: str, options: argparse.Namespace) -> dict[str, Any]:
    """One model's steps, and TRL's between them where it is the model to compare on."""
    overrides = [
        f"model={model}",
        f"loop.prompts_per_step={options.prompts}",
        "loop.filter_groups=false",  # the same samples on both sides
        "algorithm.critic_warmup=0",
        *options.overrides,
    ]
    with bench(overrides) as b:
        models = b.models(trained=not options.untrained)
        loop = b.start_loop(models)
        loop.step(0)

        def ours(number: int) -> dict[str, Any]:
            metrics, rollout = loop.step(number + 1)
            phases = timings(metrics)
            print(f"  {model} step {number + 1} of {options.steps}: {phases['step']:.2f} s", flush=True)
            tokens = metrics["response_length/mean"] * len(rollout.chunks) * b.config.loop.samples_per_prompt
            return {"seconds": phases["step"], "tokens": round(tokens), "phases": phases, "overhead": overhead(phases)}

        if model == PEER and not options.without_trl:
            spec = options.scratch / "trl.pickle"
            spec.write_bytes(pickle.dumps(trl_work(b, models, loop, options.steps)))
            command = [sys.executable, str(Path(__file__).with_name("_trl_side.py")), str(spec)]
            with Side(command, options.scratch / "trl.log") as side:
                side.ask({"number": 0})
                rows = alternate(options.steps, ours, lambda n: side.ask({"number": n + 1}))
        else:
            rows = [{"ours": ours(n)} for n in range(options.steps)]
        checkpoint_s = time_checkpoint(b)
    config = {
        "overrides": stated(overrides),
        "models": models.source,
        "dtype": b.dtype_name,
        "samples": options.prompts * b.config.loop.samples_per_prompt,
        "checkpoint_s": checkpoint_s,
    }
    return {"config": config, "steps": [{"model": model, **row} for row in rows]}


def overhead(phases: dict[str, float]) -> float:
    """Share of a step that is not the models' work."""
    return 1.0 - sum(phases.get(name, 0.0) for name in MODEL_WORK) / phases["step"]


def time_checkpoint(b: Bench) -> float:
    """Seconds of one checkpoint, which the recipe writes every few steps and which no step contains."""
    from prl_ray.actors.learner import Learner

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        b.fleet.on_learners(lambda rank: ask(rank, Learner.save, Path(folder)), "a checkpoint")
    return time.perf_counter() - start


def trl_work(b: Bench, models: Models, loop: Any, steps: int) -> TrlWork:
    """The same prompts and settings for TRL."""
    config = b.config
    samples = config.loop.prompts_per_step * config.loop.samples_per_prompt
    optimizer_steps = config.algorithm.minibatches * config.algorithm.epochs
    return TrlWork(
        policy=models.policy,
        dtype=b.dtype_name,
        problems=[p for number in range(steps + 1) for p in loop.prompts(number)],
        prompts_per_step=config.loop.prompts_per_step,
        samples=config.loop.samples_per_prompt,
        max_tokens=config.model.max_response_tokens,
        temperature=config.loop.temperature,
        learning_rate=config.algorithm.learning_rate,
        kl_coef=config.algorithm.kl_coef,
        clip=config.algorithm.clip_low,
        max_grad_norm=config.algorithm.max_grad_norm,
        optimizer_steps=optimizer_steps,
        # about the token budget of our micro-batches, at 128 tokens a sample; a whole mini-batch where it fits
        micro_batch=min(samples // optimizer_steps, max(1, config.algorithm.micro_batch_tokens // 128)),
        isolation=config.cluster.isolation,
        seed=config.seed,
        threads=config.cluster.threads,
    )


def write(options: argparse.Namespace) -> None:
    """The result file, once all parts are there."""
    files = {model: part_file(options, model) for model in PARTS}
    if missing := [model for model, file in files.items() if not file.is_file()]:
        return print(f"no result file yet: {', '.join(missing)} not measured")
    parts = {model: json.loads(file.read_text()) for model, file in files.items()}
    pairs = [row for row in parts[PEER]["steps"] if "theirs" in row]
    if not pairs:
        return print("no result file: TRL was left out")
    headline = {
        f"overhead_share_{model}": statistics.median(row["ours"]["overhead"] for row in part["steps"])
        for model, part in parts.items()
    }
    headline["trl_ratio"] = statistics.median(row["theirs"]["seconds"] / row["ours"]["seconds"] for row in pairs)
    config: dict[str, Any] = {model: part["config"] for model, part in parts.items()}
    config["phases"] = {model: median_phases(part["steps"]) for model, part in parts.items()}
    repeats = [row for part in parts.values() for row in part["steps"]]
    return print(
        headline, config["phases"], write_result("step_anatomy", headline, config, repeats, folder=options.results)
    )


def median_phases(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Median seconds of each phase."""
    names = dict.fromkeys(name for row in rows for name in row["ours"]["phases"])
    return {name: statistics.median(row["ours"]["phases"].get(name, 0.0) for row in rows) for name in names}


if __name__ == "__main__":
    main()
