"""How good are the line scores? PRMs that the recipe's own stages train, on problems that no stage has seen.

Test problems are labelled by the rule teacher as training problems are; each distinct line counts once. The PRM is
compared with the share of right lines at the same position, of the same length, and of all lines, with the ORM read as
a PRM, and with the policy's own log-probabilities (mean and lowest of a line's tokens). ``repeats`` holds, for each
problem set, all of these with 95% intervals over problems, figures by operator and by position, a test for formatting,
and a learning curve over the number of labelled problems; for ``humaneval``, the scores of the MBPP PRM on canonical
solutions, each also with one mutated line.

``auroc_*``: of right above wrong lines. ``first_error_mbpp``: how often the first line below 0.5 of a failing program
(its lowest, if none is) is the first wrong one. ``ece_mbpp``: calibration error, both classes weighing the same.

  python benchmarks/prm_quality.py --run FOLDER --path mbpp.jsonl      trains what FOLDER lacks, then reads it
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._line_figures import figures, ranking
from benchmarks._lines import BASELINES, Lines, Models, read_lines, reward_scores
from benchmarks._results import RESULTS, ROOT, write_result
from benchmarks._runs import artifact_folder, finished, stated
from prl_ray.inputs import RunInputs
from prl_ray.models.policy import load_tokenizer
from prl_ray.problems import Problem, load_problems
from prl_ray.supervision import LabelConfig, LabelledProgram, load_labels, without_repeats
from prl_ray.supervision.local import label_in_processes

SETTINGS = {
    "composed": ["problems=composed", "teacher.variants_per_problem=6"],
    "mbpp": ["problems=mbpp", "teacher.variants_per_problem=4"],
}
LABELLED = {"composed": 400, "mbpp": 374}
STAGES = ["stages=[label,sft,prm]", "tracking=off"]
WITH_ORM = "reward=orm"
"""It needs the ORM, and the critic of PPO the PRM: both are trained."""
ONE_MUTANT = LabelConfig(variants_per_problem=1, refactoring_share=0, truncations_per_problem=0, max_crash_share=1)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=ROOT / "runs", help="folder of the runs (resumed if it exists)")
    parser.add_argument(
        "--path", default=os.environ.get("PRL_RAY_MBPP", ""), help="mbpp.jsonl; by default from the hub"
    )
    parser.add_argument("--composed", type=int, default=LABELLED["composed"], help="labelled training problems")
    parser.add_argument("--mbpp", type=int, default=LABELLED["mbpp"], help="labelled training problems")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.25, 0.5, 1.0], help="of them: the learning curve")
    parser.add_argument("--held-out", type=int, default=200, help="test problems of each set")
    parser.add_argument("--humaneval", type=int, help="only the first N problems of HumanEval")
    parser.add_argument("--workers", type=int, default=2, help="processes that label")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("overrides", nargs="*", help="further config overrides, KEY=VALUE")
    options = parser.parse_args(arguments)
    runs = {}
    for name in SETTINGS:
        print(f"{name}: training what is missing", flush=True)
        runs[name] = [trained(name, share, options) for share in sorted(options.shares)]
    found: dict[str, dict[str, Any]] = {}
    for name, its_runs in runs.items():
        print(f"{name}: reading", flush=True)
        held_out = its_runs[-1].problems("test", options.held_out)
        found[name] = {"set": name, **measured(its_runs, held_out, options.workers)}
        print(f"{name}: {found[name]['scores']}", flush=True)
    found["humaneval"] = {"set": "humaneval", **transfer(runs["mbpp"][-1], options.humaneval, options.workers)}
    config = {"held_out": options.held_out, "labelled": {"composed": options.composed, "mbpp": options.mbpp}}
    config |= {"settings": SETTINGS, "overrides": stated(options.overrides)}
    line = headline(found)
    print(line, write_result("prm_quality", line, config, list(found.values()), folder=options.results))


def headline(found: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The figures that are quoted."""
    mbpp = found["mbpp"]
    return {
        "auroc_mbpp": mbpp["scores"]["prm"]["auroc"][0],
        "auroc_mbpp_low": mbpp["scores"]["prm"]["auroc"][1],
        "auroc_mbpp_best_baseline": max(mbpp["scores"][name]["auroc"][0] for name in BASELINES),
        "auroc_composed": found["composed"]["scores"]["prm"]["auroc"][0],
        "first_error_mbpp": mbpp["first_error"][0],
        "ece_mbpp": mbpp["ece"][0],
        "auroc_humaneval": found["humaneval"]["scores"]["prm"]["auroc"][0],
    }


def trained(name: str, share: float, options: argparse.Namespace) -> RunInputs:
    """The run with a share of the labelled problems, trained if it is not there; only the largest has an ORM."""
    count = max(1, round(share * getattr(options, name)))
    whole = share == max(options.shares)
    overrides = [*SETTINGS[name], f"teacher.problems={count}", *STAGES, *options.overrides]
    overrides += [WITH_ORM] if whole else []
    overrides += [f"name=prm-{name}-{count}", f"runs_dir={options.run.resolve()}"]
    if name == "mbpp" and options.path:
        overrides.append(f"problems.path={Path(options.path).resolve()}")
    return finished(overrides, ["label", "sft", "prm", *(["orm"] if whole else [])])


def measured(runs: Sequence[RunInputs], held_out: Sequence[Problem], workers: int) -> dict[str, Any]:
    """All figures of the last run, and the learning curve over all of them."""
    last = runs[-1]
    config = last.config.teacher.label_config(last.config.seed)
    rows = labelled(held_out, config, workers)
    lines = read_lines(rows, held_out, load_tokenizer(last.base))
    scores = models(last).scores(lines, learnt_lines(last))
    curve = []
    for run in runs:
        prm, size = artifact_folder(run, "prm"), run.config.algorithm.micro_batch_tokens
        read = scores["prm"] if run is last else reward_scores(prm, lines.batch, run.dtype, size)
        curve.append({"labelled_problems": run.config.teacher.problems, **ranking(lines, read)})
    return {**figures(lines, scores), "learning_curve": curve}


def transfer(run: RunInputs, count: int | None, workers: int) -> dict[str, Any]:
    """The run's PRM on HumanEval: each canonical solution, and the same with one mutated line."""
    problems = load_problems("humaneval", split="test", limit=count)
    rows = labelled(problems, ONE_MUTANT, workers)
    mutated = {row.task_id for row in rows if row.operator != "reference"}
    lines = read_lines([row for row in rows if row.task_id in mutated], problems, load_tokenizer(run.base))
    return figures(lines, models(run).scores(lines, learnt_lines(run)))


def labelled(problems: Sequence[Problem], config: LabelConfig, workers: int) -> list[LabelledProgram]:
    """Labelled programs of held-out problems, each distinct line with one label."""
    return without_repeats(label_in_processes(problems, replace(config, chunk=16), workers).rows)


def learnt_lines(run: RunInputs) -> Lines:
    """What a run's reward models were trained on."""
    rows = without_repeats(load_labels(artifact_folder(run, "label") / "labels"))
    return read_lines(rows, run.train_slices["label"], load_tokenizer(run.base))


def models(run: RunInputs) -> Models:
    """The folders of a run."""
    prm, orm, sft = (artifact_folder(run, name) for name in ("prm", "orm", "sft"))
    return Models(prm, orm, sft, run.dtype, run.config.algorithm.micro_batch_tokens)


if __name__ == "__main__":
    main()
