"""The main job: the gain of ``make train`` with SmolLM2-135M on ``composed``, read from its run folder.

``pass1_*`` are sampled, on held-out problems; ``gain`` is PPO over SFT, paired over those problems, and ``gain_se`` its
standard error; ``minutes`` the whole recipe. Greedy figures, difficulties, curves and the run of PPO with a critic on
the outcome (``algorithm=ppo reward=outcome``) at the same seed are in ``repeats``.

  python benchmarks/main_job.py --run /some/empty/folder     runs both there first, and times the first
  python benchmarks/main_job.py                              reads runs/ of the default command
  python benchmarks/main_job.py --cluster single_gpu …       on a GPU; the result is main_job_single_gpu
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import RESULTS, ROOT, write_result
from benchmarks._runs import execute, figures, need_empty, pass_headline, stated
from prl_ray import compose

DEFAULT = "gate with exact locations"
"""The default arm, for the tables."""
OUTCOME = ["algorithm=ppo", "reward=outcome"]
"""The comparison: PPO with a critic on the outcome."""
STAGES_ONLY = "its stages; stages made by an earlier run took no time"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="an empty folder: run the recipe there first, then read the runs")
    parser.add_argument("--run-folder", type=Path, help="finished run folder of the default recipe")
    parser.add_argument("--outcome-folder", type=Path, help="finished run folder of the comparison")
    parser.add_argument("--cluster", default="local", help="layout of actors (see conf/cluster/)")
    parser.add_argument("--without-outcome", action="store_true", help="leave out the comparison")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("overrides", nargs="*", help="further config overrides, KEY=VALUE")
    options = parser.parse_args(arguments)
    runs = [options.overrides]
    if not options.without_outcome:
        runs.append([*options.overrides, *OUTCOME])
    given = [options.run_folder, options.outcome_folder]
    rows: list[dict[str, Any]] = []
    if options.run:
        need_empty(options.run)
    for overrides, folder in zip(runs, given, strict=False):
        # the folder's place is the machine's own business and stays out of the result
        command = [*overrides, f"runs_dir={options.run.resolve()}"] if options.run else overrides
        wall = {"wall_minutes": execute(command, options.cluster)} if options.run else {}
        config = compose([f"+cluster={options.cluster}", *command])
        place = folder or ROOT / config.runs_dir / config.run_name
        rows.append({"overrides": stated(overrides), "seed": config.seed, **figures(place), **wall})
    main_run = rows[0]
    # the run's own clock covers its stages; the command's, where there is one, starting up as well
    minutes = main_run.get("wall_minutes", sum(main_run["stage_minutes"].values()))
    ks = {"base": [1], "sft": [1], "ppo": [1]}
    headline = {"minutes": minutes, **pass_headline(main_run, ks)}
    command_line = f"python -m prl_ray.train +cluster={options.cluster}"
    config_file = {"command": command_line, "overrides": stated(options.overrides)}
    config_file["default"] = DEFAULT
    config_file["minutes_of"] = "the command" if "wall_minutes" in main_run else STAGES_ONLY
    name = "main_job" if options.cluster == "local" else f"main_job_{options.cluster}"
    print(headline, write_result(name, headline, config_file, rows, folder=options.results))


if __name__ == "__main__":
    main()
