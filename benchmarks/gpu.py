"""One GPU that sampler and learner share, with a model of 1.5 billion parameters and random weights.

``generator_ratio`` and ``learner_ratio``: tokens per second of the actors over bare vLLM and bare PyTorch, as
``generator_throughput`` and ``learner_throughput`` measure them. ``push_s``: median seconds of a weight push by the
object store while the engine is awake; ``config`` has the other transports (``nccl`` needs two GPUs). ``peak_gb``: most
of the GPU's memory in use, in 10⁹ bytes, over PPO steps in which the engine sleeps while the learner works; ``config``
has their phases, and the learner's peak beside the one that ``prl_ray.plan`` expects.

The model writes random tokens to the length limit, so all steps have the same work. The GPU needs 141 GB: in the
comparisons two sides hold the model at once. Written for eight minutes and not yet run on a GPU. Parts are kept: a
command that was interrupted goes on with the next one.

  python benchmarks/gpu.py
  python benchmarks/gpu.py --tiny      a model of 4 million parameters, also without a GPU: does the command work?
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks import generator_throughput, learner_throughput
from benchmarks._actors import SCRATCH, Bench, bench, timings
from benchmarks._peak_memory import GB, PeakGpuMemory, PeakMemory
from benchmarks._results import RESULTS, read_result, write_result
from benchmarks._runs import stated
from prl_ray.models.tiny import TinyShape, random_llama, train_tokenizer
from prl_ray.plan_layout import plan_for, shape_of
from prl_ray.seeds import numpy_stream

Part = dict[str, Any]
WORDS, LETTERS = 35_000, 12
"""Random words that make a vocabulary of about 150,000 tokens: the size decides what the output head costs."""


@dataclass(frozen=True, slots=True)
class Size:
    """The model and the work of a step."""

    shape: TinyShape
    words: int
    overrides: tuple[str, ...]
    prompts: int
    """Of one call of the engine, in the comparison with bare vLLM."""
    programs: int
    """Of one optimizer step, in the comparison with bare PyTorch."""


WHOLE = Size(
    TinyShape(hidden=1536, layers=28, heads=12, kv_heads=2, mlp=8960, vocab=151_936),
    WORDS,
    (
        "model.max_response_tokens=256",
        "loop.prompts_per_step=32",
        "loop.samples_per_prompt=8",
        "algorithm.micro_batch_tokens=8192",
    ),
    prompts=32,
    programs=128,
)
TINY = Size(
    TinyShape(),
    100,
    ("model.max_response_tokens=32", "loop.prompts_per_step=4", "loop.samples_per_prompt=2"),
    prompts=4,
    programs=8,
)
SHARED = ("+cluster=single_gpu", "cluster.generator_gpus=0.5", "cluster.learner_gpus=0.5")
SLEEPING = ("cluster.generator_sleep=2", "cluster.generator_memory=0.35")
SEPARATE = ("+cluster=single_gpu", "cluster.generator_gpus=1", "cluster.learner_gpus=1", "cluster.weights=nccl")
PLAIN = ("reward=outcome", "algorithm.estimator=rloo", "loop.filter_groups=false", "problems.train=256")
"""No reward model, and every sample is learnt from."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a check of the command; the result stays in --scratch")
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--scratch", type=Path, default=SCRATCH / "gpu", help="folder of the model and the parts")
    parser.add_argument("overrides", nargs="*", help="further config overrides, KEY=VALUE")
    options = parser.parse_args(arguments)
    gpus = torch.cuda.device_count()
    if not gpus and not options.tiny:
        sys.exit("error: this machine has no GPU; --tiny runs the same measurements with a tiny model on the CPU")
    measure(options, TINY if options.tiny else WHOLE, gpus)


def measure(options: argparse.Namespace, size: Size, gpus: int) -> None:
    """All parts, and the result file."""
    scratch: Path = options.scratch / ("tiny" if options.tiny else "whole")
    scratch.mkdir(parents=True, exist_ok=True)
    model = scratch / "model"
    if not (model / "config.json").is_file():
        write_model(model, size)
    here = [f"model.path={model.resolve()}", f"runs_dir={scratch.resolve()}", *PLAIN, *size.overrides]
    overrides = [*here, *(SHARED if gpus else ()), *options.overrides]

    def part(name: str, make: Callable[[], Part]) -> Part:
        return kept(scratch / f"{name}.json", make)

    def rate(command: Any, *more: str) -> Part:
        return throughput(command, [*more, "--repeats", str(options.repeats), *overrides], scratch / "rates")

    parts = {
        "generator": part("generator", lambda: rate(generator_throughput, "--prompts", str(size.prompts))),
        "learner": part("learner", lambda: rate(learner_throughput, "--programs", str(size.programs))),
        "steps": part("steps", lambda: steps([*overrides, *(SLEEPING if gpus else ())], options.repeats)),
        "object_store": part("object_store", lambda: pushes(overrides, options.repeats)),
        "filesystem": part("filesystem", lambda: pushes([*overrides, "cluster.weights=filesystem"], options.repeats)),
    }
    if gpus > 1:
        parts["nccl"] = part("nccl", lambda: pushes([*here, *SEPARATE, *options.overrides], options.repeats))
    write(parts, overrides, scratch if options.tiny else options.results)


def write_model(folder: Path, size: Size) -> None:
    """A Llama with random weights in bfloat16 and a tokenizer of many random words."""
    alphabet = list("abcdefghijklmnopqrstuvwxyz")
    letters = numpy_stream(0, "vocabulary").choice(alphabet, (size.words, LETTERS))
    text = " ".join("".join(word) for word in letters)
    tokenizer = train_tokenizer([text, text], size.shape.vocab)
    random_llama(tokenizer, 0, size.shape).to(torch.bfloat16).save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


def kept(file: Path, make: Callable[[], Part]) -> Part:
    """The part in ``file``, made if it is not there."""
    if not file.is_file():
        print(f"{file.stem}:", flush=True)
        file.write_text(json.dumps(make(), indent=1) + "\n", encoding="utf-8")
    found: Part = json.loads(file.read_text(encoding="utf-8"))
    return found


def throughput(command: Any, arguments: Sequence[str], folder: Path) -> Part:
    """The ratio and the rates that another command measures."""
    command.main(["--results", str(folder), *arguments])
    result = read_result(command.__name__.rpartition(".")[2], folder)
    rates = ("ours_tokens_per_second", "bare_tokens_per_second")
    return result["headline"] | {name: result["config"][name] for name in rates} | {"repeats": result["repeats"]}


def steps(overrides: Sequence[str], count: int) -> Part:
    """PPO steps over all actors, and the memory of the device and of the learner."""
    memory = PeakGpuMemory() if torch.cuda.is_available() else PeakMemory()
    with memory, bench(overrides) as b:
        loop = b.start_loop(b.models(trained=False))
        loop.step(0)
        rows = []
        for number in range(1, count + 1):
            metrics, _ = loop.step(number)
            rows.append({"step": number, "phases": timings(metrics), "tokens": metrics["perf/total_num_tokens"]})
            print(f"  step {number} of {count}: {metrics['timing_s/step']:.2f} s", flush=True)
        learner_gb = on_learner(b, lambda _: torch.cuda.max_memory_allocated()) / GB
        planned = planned_gb(b)
        parameters = shape_of(str(b.inputs.base)).parameters
    if isinstance(memory, PeakMemory):
        learner_gb = memory.gb["Learner"]
    return {
        "rows": rows,
        "parameters": parameters,
        "peak_gb": memory.total_gb,
        "learner_peak_gb": learner_gb,
        "learner_planned_gb": planned,
    }


def planned_gb(b: Bench) -> float:
    """What the plan expects of the learner: of its tensors on a GPU, of the whole process on a CPU."""
    plan = plan_for(shape_of(str(b.inputs.base)), b.config, b.inputs.dtype.itemsize)
    learner = next(need for need in plan.needs if need.role == "learner")
    return (learner.total - (learner.parts["process"] if b.config.cluster.learner_gpus else 0)) / GB


def on_learner(b: Bench, look: Callable[[Any], int]) -> int:
    """What a function finds in the learner's process."""
    import ray

    learner: Any = b.fleet.learners[0]
    found: int = ray.get(learner.__ray_call__.remote(look))
    return found


def pushes(overrides: Sequence[str], count: int) -> Part:
    """Seconds of weight pushes to an engine that is awake, after the first one."""
    with bench(overrides) as b:
        loop = b.start_loop(b.models(trained=False))
        seconds = [loop.push_weights()["timing_s/update_weights"] for _ in range(count)]
    print("  " + ", ".join(f"{s:.2f} s" for s in seconds), flush=True)
    return {"seconds": seconds}


def write(parts: dict[str, Part], overrides: Sequence[str], folder: Path) -> None:
    """The result file of all parts."""
    transports = [name for name in ("object_store", "filesystem", "nccl") if name in parts]
    push_s = {name: statistics.median(parts[name]["seconds"]) for name in transports}
    measured = parts["steps"]
    rows = measured["rows"]
    headline = {
        "generator_ratio": parts["generator"]["ratio"],
        "learner_ratio": parts["learner"]["ratio"],
        "push_s": push_s["object_store"],
        "peak_gb": measured["peak_gb"],
    }
    config = {
        "overrides": stated(overrides),
        "push_s": push_s,
        "phases": {name: statistics.median(row["phases"][name] for row in rows) for name in rows[0]["phases"]},
        **{name: measured[name] for name in ("parameters", "learner_peak_gb", "learner_planned_gb")},
        "rates": {
            role: {key: value for key, value in parts[role].items() if key != "repeats"}
            for role in ("generator", "learner")
        },
    }
    repeats = [{"part": role, **row} for role in ("generator", "learner") for row in parts[role]["repeats"]]
    repeats += [{"part": "steps", **row} for row in rows]
    repeats += [{"part": name, "seconds": s} for name in transports for s in parts[name]["seconds"]]
    print(headline, config, write_result("gpu", headline, config, repeats, folder=folder))


if __name__ == "__main__":
    main()
