"""``python -m prl_ray.plan +cluster=… model.path=…``: the memory and time that a run would need; starts nothing."""

from __future__ import annotations

from pathlib import Path

import prl_ray
from prl_ray import cli
from prl_ray.models.quiet import set_library_environment
from prl_ray.plan_layout import lines, plan_for, shape_of

DESCRIPTION = """[GROUP=OPTION] [KEY=VALUE] ...

Prints the memory that each role of a run needs on its devices, what does not fit and the nearest settings that would,
and how long a PPO step would take where rates of such a machine are stored. Reads config.json; starts nothing.

examples:
  python -m prl_ray.plan +cluster=multi_node model.path=/models/qwen2.5-coder-7b
  python -m prl_ray.plan +cluster=single_gpu cluster.gpu_memory_gb=24 model.path=/models/starcoder2-3b"""


def main(overrides: list[str]) -> None:
    """Prints the plan."""
    set_library_environment()
    config = prl_ray.compose(overrides)
    from prl_ray.inputs import RunInputs

    inputs, path = RunInputs(config), config.model.path
    size = inputs.dtype.itemsize
    shape = shape_of(str(Path(path).expanduser()) if path else str(inputs.base))
    print("\n".join(lines(plan_for(shape, config, size), config, size)))


if __name__ == "__main__":
    cli.run_composed("prl_ray.plan", DESCRIPTION, main)
