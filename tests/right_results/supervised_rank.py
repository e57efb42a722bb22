"""A rank of supervised training whose weights become NaN: ``python supervised_rank.py FOLDER``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from prl_ray.actors.engine import EngineSettings
from prl_ray.actors.meeting import RankInfo
from prl_ray.actors.supervised import SupervisedSetup, SupervisedTrainer
from prl_ray.errors import NotFiniteError
from prl_ray.examples import Example
from prl_ray.models.encode import tokenizer_texts
from prl_ray.models.tiny import TinyShape, write_tiny
from prl_ray.problems import load_problems


def main() -> None:
    folder = Path(sys.argv[1]) / "model"
    problems = load_problems("composed", limit=4)
    shape = TinyShape(hidden=32, layers=1, heads=2, kv_heads=1, mlp=32, vocab=300, context=512)
    write_tiny(folder, tokenizer_texts(problems), shape=shape)
    engine = EngineSettings(learning_rate=1e-3, dtype=torch.float32)
    setup = SupervisedSetup("sft", folder, engine, 4, 4, 0.1, 2048, seed=1)
    examples = [Example(problem, problem.references[0]) for problem in problems]
    trainer = SupervisedTrainer(RankInfo(), setup, examples)
    found: dict[str, object] = {"first": trainer.step(0)}
    with torch.no_grad():
        next(trainer.engine.module.parameters()).fill_(float("nan"))
    found["wild"] = trainer.step(1)
    try:
        for number in (2, 3):
            trainer.step(number)
    except NotFiniteError as error:
        found["error"] = str(error)
    print("FOUND" + json.dumps(found))


if __name__ == "__main__":
    main()
