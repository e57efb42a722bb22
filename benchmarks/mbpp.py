"""All stages on the real MBPP, from the run folder: pass@1 and pass@5 before and after each stage, and the curves.

Figures are sampled ones on MBPP's test split; ``gain`` is PPO over SFT in pass@1, paired over problems.

  python benchmarks/mbpp.py --run /some/empty/folder --path mbpp.jsonl     runs the recipe there first
  python benchmarks/mbpp.py --path mbpp.jsonl                              reads runs/ of the same command
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import RESULTS, ROOT, write_result
from benchmarks._runs import execute, figures, pass_headline, stated
from prl_ray import compose

SETTINGS = (
    "problems=mbpp",
    "model=smollm2",
    # one test problem's asserts alone are 3,700 tokens
    "model.max_prompt_tokens=4096",
    # 98% of the training references are shorter
    "model.max_response_tokens=192",
    "evaluate.samples=5",
    "evaluate.k=[1,5]",
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a folder: run or resume the recipe there first")
    parser.add_argument("--run-folder", type=Path, help="finished run folder")
    parser.add_argument(
        "--path", default=os.environ.get("PRL_RAY_MBPP", ""), help="mbpp.jsonl; by default from the hub"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("overrides", nargs="*", help="further config overrides, KEY=VALUE")
    options = parser.parse_args(arguments)
    overrides = [*SETTINGS, *options.overrides]
    command = list(overrides)
    if options.path:
        command.append(f"problems.path={Path(options.path).resolve()}")
    if options.run:
        command.append(f"runs_dir={options.run.resolve()}")
    wall: dict[str, Any] = {"wall_minutes": execute(command)} if options.run else {}
    config = compose(command)
    run = figures(options.run_folder or ROOT / config.runs_dir / config.run_name)
    headline = pass_headline(run, {"base": [1], "sft": [1, 5], "ppo": [1, 5]})
    stored = {"command": "python -m prl_ray.train +cluster=local", "overrides": stated(overrides)}
    rows = [{"seed": config.seed, "minutes": sum(run["stage_minutes"].values()), **run, **wall}]
    print(headline, write_result("mbpp", headline, stored, rows, folder=options.results))


if __name__ == "__main__":
    main()
