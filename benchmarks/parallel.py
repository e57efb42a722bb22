"""Do the forms of training for large models compute what one plain rank computes, and how much memory do they save?

A random Llama of about 60 million parameters in float32 takes three steps plainly, with its parameters shared by two
ranks (ZeRO-3), with all samples packed into one row without padding, and by LoRA adapters. ``max_relative_gap``: the
largest relative difference to the plain rank over losses and gradient norms, and the log-probabilities before the first
step; of the adapters, between the learner's log-probabilities and those of the merged model that it saved; and between
the log-probabilities of an engine of two ranks (tensor parallel) and of one. Later log-probabilities are in
``repeats``: Adam's first steps turn rounding into whole steps wherever a gradient is near zero. ``peak_ratio_*``: peak
resident memory of one rank over the plain rank's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import ray
import torch

from benchmarks._form_rank import PROBE
from benchmarks._results import RESULTS, write_result
from prl_ray.actors.generator import Generator
from prl_ray.actors.meeting import free_port
from prl_ray.actors.sampling_engine import GeneratorSetup
from prl_ray.models.policy import load_policy, probe_logprobs
from prl_ray.models.tiny import TinyShape, write_tiny

SHAPE = TinyShape(hidden=768, layers=8, heads=12, kv_heads=12, mlp=2048, vocab=400)
FORMS = {"plain": 1, "zero3": 2, "packed": 1, "lora": 1}
"""And how many ranks each has."""

TEXT = tuple(range(10, 60))
"""Tokens of which the engines give the log-probabilities."""


def run_form(
    form: str, world: int, model: Path, out: Path, length: int, timeout_s: float = 400
) -> list[dict[str, Any]]:
    """What each rank found. Raises ``RuntimeError`` if one of them fails."""
    script, port = str(Path(__file__).with_name("_form_rank.py")), str(free_port())
    words = [[script, str(rank), str(world), port, str(model), form, str(out), str(length)] for rank in range(world)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ranks = [subprocess.Popen([sys.executable, *w], stdout=subprocess.PIPE, text=True, env=environment) for w in words]
    try:
        answers = [rank.communicate(timeout=timeout_s)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    if any(rank.returncode for rank in ranks):
        raise RuntimeError(f"{form}: the ranks ended with {[rank.returncode for rank in ranks]}")
    return [json.loads(answer.split("FOUND")[1].splitlines()[0]) for answer in answers]


def engine_logprobs(model: Path, ranks: int) -> list[float]:
    """The log-probabilities that an engine of so many ranks gives to ``TEXT``, after it was pushed the model's weights
    as a learner would."""
    setup = GeneratorSetup(model, "float32", 256, max_num_seqs=8, tensor_parallel=ranks)
    engine = ray.remote(num_cpus=1)(Generator).remote(setup)
    try:
        ray.get(engine.load_folder.remote(model, 1), timeout=900)
        found: list[float] = ray.get(engine.logprobs.remote(TEXT), timeout=120).tolist()
    finally:
        ray.kill(engine)
    return found


def gap(found: Sequence[float], expected: Sequence[float]) -> float:
    """Largest difference over the largest value."""
    return float(np.abs(np.subtract(found, expected)).max() / np.abs(expected).max())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=60, help="tokens of a sample")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / "model"
        model.mkdir()
        write_tiny(model, [f"def f(x):\n    return x + {n}\n" for n in range(50)], seed=1, shape=SHAPE)
        found = {
            form: run_form(form, world, model, Path(scratch) / form, options.length)[0] for form, world in FORMS.items()
        }
        merged = probe_logprobs(load_policy(Path(scratch) / "lora" / "model", torch.float32), PROBE)
        ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        engines = {ranks: engine_logprobs(model, ranks) for ranks in (1, 2)}
        ray.shutdown()
    plain, zero3, lora = found["plain"], found["zero3"], found["lora"]
    same = ("losses", "norms", "first")
    gaps = {f"{form} {name}": gap(found[form][name], plain[name]) for form in ("zero3", "packed") for name in same}
    gaps["tensor parallel"] = gap(engines[2], engines[1])
    gaps |= {"lora first": gap(lora["first"], plain["first"]), "lora merged": gap(lora["probe"], merged.tolist())}
    headline = {
        "max_relative_gap": max(gaps.values()),
        "peak_ratio_zero3": zero3["peak_mb"] / plain["peak_mb"],
        "peak_ratio_lora": lora["peak_mb"] / plain["peak_mb"],
    }
    repeats = [
        {"form": form, "peak_mb": f["peak_mb"], "step_s": f["seconds"], "last_gap": gap(f["last"], plain["last"])}
        for form, f in found.items()
    ]
    config: dict[str, Any] = {"ranks": FORMS, "length": options.length, "gaps": gaps, "engine_ranks": list(engines)} | {
        "load_average": load
    }
    print(headline, write_result("parallel", headline, config, repeats, folder=options.results))


if __name__ == "__main__":
    main()
