"""Is the planned memory what a learner really needs? Three random Llamas, one plain rank of each, in float32.

``worst_relative_error``: the largest of (planned - measured) / measured over the three. The measured figure is the peak
of the rank's resident memory after three steps; the planned one is what ``python -m prl_ray.plan`` says of a learner.
Generators and scorers are not measured. ``config`` also has what large models would need on GPUs, on paper.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from transformers import AutoConfig, Qwen2Config

from benchmarks._form_rank import PROMPT, algorithm
from benchmarks._results import RESULTS, write_result
from benchmarks.parallel import SHAPE, run_form
from prl_ray.config import Config, ModelConfig, compose
from prl_ray.models.tiny import TinyShape, write_tiny
from prl_ray.plan_layout import nearest, plan_for
from prl_ray.plan_memory import GIB, Shape, needs

SHAPES = {
    "30 million": TinyShape(hidden=512, layers=8, heads=8, kv_heads=8, mlp=1536, vocab=400),
    "60 million": SHAPE,
    "100 million": TinyShape(hidden=1024, layers=8, heads=16, kv_heads=16, mlp=2560, vocab=400),
}
LARGE: dict[str, dict[str, int]] = {
    "1.5 billion": {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
    },
    "7 billion": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
    },
    "32 billion": {
        "hidden_size": 5120,
        "intermediate_size": 27648,
        "num_hidden_layers": 64,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
    },
}
LAYOUTS = {
    1: ["+cluster=single_gpu"],
    8: ["+cluster=multi_node", "cluster.generators=4", "cluster.learners=4"],
    16: ["+cluster=multi_node", "cluster.generators=8", "cluster.learners=8"],
}
"""Half of the GPUs sample, half learn; no reward model and no critic."""
MAIN_MEMORY = 256 * GIB
"""Of each machine, where learners offload."""
MB = 1 << 20


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=60, help="tokens of a sample")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    repeats = [measured(name, shape, options.length) for name, shape in SHAPES.items()]
    headline = {"worst_relative_error": max(abs(r["planned_mb"] / r["measured_mb"] - 1) for r in repeats)}
    config = {"length": options.length, "form": "plain", "roles": ["learner"], "paper": list(paper())}
    print(headline, write_result("plan", headline, config, repeats, folder=options.results))


def paper() -> Iterator[dict[str, Any]]:
    """What large models would need on GPUs of 80 GiB in machines of 256 GiB, and the settings with which they fit:
    computed, not measured."""
    for name, sizes in LARGE.items():
        shape = Shape.of(Qwen2Config(vocab_size=152064, tie_word_embeddings=False, **sizes))
        for gpus, layout in LAYOUTS.items():
            config = compose(["reward=outcome", "algorithm.estimator=rloo", *layout])
            plan = plan_for(shape, config, 2, MAIN_MEMORY)
            learner = next(need for need in plan.needs if need.role == "learner")
            settings = [] if plan.fits else nearest(shape, config, 2, MAIN_MEMORY)
            yield {"model": name, "gpus": gpus, "learner_gib": learner.total / GIB, "settings": settings}


def measured(name: str, shape: TinyShape, length: int) -> dict[str, Any]:
    """Planned and measured memory of one learner."""
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / "model"
        model.mkdir()
        write_tiny(model, [f"def f(x):\n    return x + {n}\n" for n in range(50)], seed=1, shape=shape)
        config = Config(
            algorithm=algorithm("plain", length),
            model=ModelConfig(max_prompt_tokens=PROMPT, max_response_tokens=length),
        )
        found = Shape.of(AutoConfig.from_pretrained(model))
        planned = next(need for need in needs(found, config, 4, 0, "none") if need.role == "learner")
        peak = run_form("plain", 1, model, Path(scratch) / "out", length)[0]["peak_mb"]
    row = {"model": name, "parameters": found.parameters, "planned_mb": planned.total / MB, "measured_mb": peak}
    print(row, flush=True)
    return {**row, "parts_mb": {part: size / MB for part, size in planned.parts.items()}}


if __name__ == "__main__":
    main()
