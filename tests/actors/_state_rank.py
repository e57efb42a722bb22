"""One rank that trains a small module in every form, changes over to the checkpoint of a group with another number of
ranks, and goes on. Prints what it found, by form, as one line of JSON.

Arguments: rank, ranks, port, the folder of this group, the folder of the other one. Each group trains ``BEFORE`` steps
and saves, then ``AFTER`` more (``plain``); then a new engine loads the other group's state (``loaded``) and takes those
steps too (``resumed``).
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import nn

from benchmarks._form_rank import join
from prl_ray.actors.engine import Engine, EngineSettings
from prl_ray.actors.training_state import PARTS

SAMPLES, BEFORE, AFTER, WAIT_S = 6, 2, 2, 500
FORMS = {
    "stage 1": (1, torch.float32, False),
    "stage 2, some layers frozen": (2, torch.float32, True),
    "stage 3": (3, torch.float32, False),
    "stage 3, some layers frozen": (3, torch.float32, True),
    "stage 1 in bfloat16": (1, torch.bfloat16, False),
    "stage 2 in bfloat16": (2, torch.bfloat16, False),
    "stage 3 in bfloat16": (3, torch.bfloat16, False),
}
Found = dict[str, list[float]]


class Net(nn.Module):
    """Sizes that two ranks cannot divide, a tied weight, and a layer that may be frozen."""

    def __init__(self, frozen: bool) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(5, 7), nn.Linear(7, 7), nn.Linear(7, 5, bias=False)
        self.tied = nn.Linear(7, 5, bias=False)
        self.tied.weight = self.last.weight
        self.middle.requires_grad_(not frozen)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states = torch.tanh(self.middle(torch.tanh(self.first(x))))
        out: torch.Tensor = self.last(states) + self.tied(states)
        return out


class Form:
    """An engine of one form."""

    def __init__(self, form: str, rank: int, world: int) -> None:
        stage, dtype, frozen = FORMS[form]
        torch.manual_seed(0)
        settings = EngineSettings(learning_rate=1e-2, zero_stage=stage, dtype=dtype)
        self.engine = Engine(Net(frozen).to(dtype), settings, world)
        self.rank, self.world, self.dtype = rank, world, dtype

    def train(self, first: int, count: int) -> None:
        """Steps on six samples of their own each, shared by the ranks."""
        for number in range(first, first + count):
            data = torch.randn(SAMPLES, 5, generator=torch.Generator().manual_seed(number))[self.rank :: self.world]
            self.engine.backward(self.engine.run(partial(self._loss, data.to(self.dtype))), last=True)
            self.engine.step()

    def found(self) -> Found:
        """The whole state and the weights that engines would get, flat."""
        state = self.engine._state
        state.begin()
        whole = {
            f"{part}.{name}": state.whole(parameter, part).float().flatten().tolist()
            for name, parameter in self.engine.module.named_parameters()
            if parameter.requires_grad
            for part in PARTS
        }
        weights = {w.name: w.value.float().flatten().tolist() for w in self.engine.weights() if not w.same_as}
        return whole | weights | {"steps": [state.steps]}

    def _loss(self, x: torch.Tensor) -> torch.Tensor:
        return (self.engine.module(x).float() - 1).pow(2).sum() / SAMPLES


def main(rank: int, world: int, port: int, own: Path, other: Path) -> None:
    join(rank, world, port)
    answers: dict[str, dict[str, Found]] = {}
    for form in FORMS:
        model = Form(form, rank, world)
        model.train(0, BEFORE)
        model.engine.save(own / form, "net")
        saved = model.found()
        model.train(BEFORE, AFTER)
        answers[form] = {"saved": saved, "plain": model.found()}
    torch.distributed.barrier()
    (own / "done").touch()
    deadline = time.monotonic() + WAIT_S
    while not (other / "done").exists():
        assert time.monotonic() < deadline, "the other group has not written its checkpoints"
        time.sleep(0.1)
    for form in FORMS:
        model = Form(form, rank, world)
        model.engine.load(other / form, "net")
        answers[form]["loaded"] = model.found()
        model.train(BEFORE, AFTER)
        answers[form]["resumed"] = model.found()
    print("FOUND" + json.dumps(answers), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), Path(sys.argv[5]))
