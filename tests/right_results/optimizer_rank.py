"""One rank of three optimizer steps, the second with a NaN loss on the last rank; prints norms and weights as JSON."""

import json
import os
import sys

import torch
from torch import nn


def main(rank: int, world: int, port: int, dtype: str, stage: int) -> None:
    places = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": "0"}
    os.environ.update(places, DS_ACCELERATOR="cpu", RANK=str(rank), WORLD_SIZE=str(world))
    import deepspeed

    # faster sums between ranks of one host, which take minutes to compile and change nothing here
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="gloo", verbose=False)
    from prl_ray.actors.engine import Engine, EngineSettings

    torch.manual_seed(0)
    form = getattr(torch, dtype)
    module = nn.Linear(8, 8, bias=False).to(form)
    engine = Engine(module, EngineSettings(learning_rate=0.01, zero_stage=stage, dtype=form), world)
    found = []
    for factor in (1.0, float("nan") if rank == world - 1 else 1.0, 1.0):
        engine.backward((module.weight.float() ** 2).sum() * factor, last=True)
        norm = engine.step()
        found.append((norm, module.weight.detach().float().flatten().tolist()))
    print("FOUND" + json.dumps(found), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
