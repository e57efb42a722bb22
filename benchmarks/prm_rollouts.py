"""Does the PRM find the policy's own errors, and does it help to train it on some of them?

The SFT policy's failing programs on test problems are labelled by execution (``prl_ray.supervision.rollouts``).
``hit1_*``: how often the first low line (the lowest, if none is low) is the first wrong one: for the PRM of mutated
references alone (``before``), for the same with labelled samples on training problems added (``after``,
``prm.rollouts``), for that one after it has also learned from the samples of PPO steps (``online``, ``prm.online``),
and for the place that is most often wrong in the labelled samples (``position``). Each PRM has its own threshold: the
one that finds most on the training problems that the reward stage keeps for itself. Figures with the threshold 0.5, and
with the lowest line, are in ``repeats``.

``hit1_surprise`` is the first line with a token to which the SFT policy gives less than one half, ``hit1_combined`` the
locator ``surprise_prm`` with the newest PRM and a rule fitted to those training problems, ``hit1_confident`` the newest
PRM's hits among the errors that the policy's first choice makes too. ``auroc_prm`` (the newest) and ``auroc_policy``
rank right above wrong lines.

  python benchmarks/prm_rollouts.py --run FOLDER      trains and samples what FOLDER lacks, then reads it
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._line_figures import THETA, first_error_hits, label_auroc, program_mean, wrong_places
from benchmarks._lines import Floats, Ints, Lines, over_lines, policy_logprobs, read_lines, reward_scores
from benchmarks._results import RESULTS, ROOT, write_result
from benchmarks._runs import artifact_folder, execute, finished, stated
from prl_ray import compose
from prl_ray.actors.online_prm import PRM_FOLDER
from prl_ray.credit.locators import likeliest_first_error
from prl_ray.credit.rule import fit_rule
from prl_ray.evaluation import read_samples
from prl_ray.inputs import RunInputs
from prl_ray.models.policy import load_tokenizer
from prl_ray.problems import Problem
from prl_ray.stages.prm import held_out_tasks
from prl_ray.supervision import POSITIVE, LabelReport, label_rollouts, load_labels, without_repeats
from prl_ray.supervision.local import LocalExecution

SETTINGS = ["teacher.problems=400", "teacher.variants_per_problem=6", "tracking=off"]
ONLINE = ["stages=[ppo]", "prm.online=true", "locator=prm", "algorithm.locator_check=1", "loop.validate_every=0"]
"""PPO in which all samples are executed, to teach the PRM that locates their first wrong lines."""
PROBLEMS_AT_ONCE = 16
THRESHOLDS = np.arange(1, 20) / 20
FARTHEST = 8
"""Lines from either end of a program that the position baseline may choose."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=ROOT / "runs", help="folder of the runs (resumed if it exists)")
    parser.add_argument("--rollouts", type=int, default=200, help="training problems whose samples are labelled")
    parser.add_argument("--held-out", type=int, default=200, help="test problems")
    parser.add_argument("--samples", type=int, default=4, help="programs per test problem")
    parser.add_argument("--steps", type=int, default=12, help="PPO steps that refresh the PRM; 0 leaves them out")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("overrides", nargs="*", help="further config overrides, KEY=VALUE")
    options = parser.parse_args(arguments)
    stages = "stages=[label,sft,prm]"
    common = [*SETTINGS, *options.overrides, f"runs_dir={options.run.resolve()}"]
    before = finished([*common, stages, "name=prm-before"], ["label", "sft", "prm"])
    refresh = [f"prm.rollouts={options.rollouts}", "name=prm-after"]
    after = finished([*common, stages, *refresh], ["label", "sft", "rollouts", "prm"])
    prms = {name: artifact_folder(run, "prm") for name, run in (("before", before), ("after", after))}
    if options.steps:
        online = [*common, *refresh[:1], *ONLINE, f"loop.steps={options.steps}", "name=prm-online"]
        prms["online"] = refreshed(online)
    held_out, programs, ended = sampled(before, common, options.held_out, options.samples)
    report = label(held_out, programs, ended)
    figures = measured(after, prms, held_out, report)
    print(figures)
    kinds = ("before", "after", "online", "position", "surprise", "combined", "confident")
    hits = {name: figures[name]["hit1"][0] for name in kinds if name in figures}
    headline = {f"hit1_{name}": value for name, value in hits.items() if value is not None}
    headline |= {"auroc_prm": figures[list(prms)[-1]]["auroc"][0], "auroc_policy": figures["surprise"]["auroc"][0]}
    config = {
        "rollouts": options.rollouts,
        "held_out": len(held_out),
        "samples": options.samples,
        "steps": options.steps,
    }
    config |= {"settings": SETTINGS, "overrides": stated(options.overrides)}
    print(headline, write_result("prm_rollouts", headline, config, [figures], folder=options.results))


def sampled(
    run: RunInputs, overrides: Sequence[str], problems: int, samples: int
) -> tuple[list[Problem], list[list[str]], list[list[bool]]]:
    """Test problems, what the SFT policy writes for each, and whether it ended it, by the evaluate stage, which keeps
    what it sampled."""
    sizes = [f"evaluate.problems={problems}", f"evaluate.samples={samples}", "evaluate.k=[1]"]
    execute([*overrides, "stages=[evaluate]", "evaluate.policies=[sft]", *sizes, "name=prm-samples"])
    rows = read_samples(run.folder.with_name("prm-samples") / "samples_sft_sampled.jsonl")
    by_task = {problem.task_id: problem for problem in run.problems("test", problems)}
    held_out = [by_task[task] for task in rows.task_ids]
    whole = [[p.code_prefix + text for text in texts] for p, texts in zip(held_out, rows.programs, strict=True)]
    return held_out, whole, rows.finished


def refreshed(overrides: Sequence[str]) -> Path:
    """The PRM that a PPO run has trained online; runs it if there is none."""
    folder = RunInputs(compose(overrides)).folder / "ppo" / PRM_FOLDER
    if not folder.is_dir():
        execute(overrides)
    return folder.resolve()


def label(
    problems: Sequence[Problem], programs: Sequence[Sequence[str]], ended: Sequence[Sequence[bool]]
) -> LabelReport:
    """First wrong lines of all programs."""
    report = LabelReport()
    with LocalExecution() as execution:
        for start in range(0, len(problems), PROBLEMS_AT_ONCE):
            part = slice(start, start + PROBLEMS_AT_ONCE)
            pairs = [(p, text) for p, texts in zip(problems[part], programs[part], strict=True) for text in texts]
            whole = list(chain.from_iterable(ended[part]))
            report.merge(label_rollouts(pairs, execution.verify, execution.locate, execution.call, finished=whole))
            print(f"labelled {min(part.stop, len(problems))} of {len(problems)} problems", flush=True)
    return report


def measured(
    run: RunInputs, prms: Mapping[str, Path], problems: Sequence[Problem], report: LabelReport
) -> dict[str, Any]:
    """How the PRMs and the place alone do on the labelled programs. ``run`` is one with labelled samples."""
    tokenizer = load_tokenizer(run.base)
    lines = read_lines(report.rows, problems, tokenizer)
    once = read_lines(without_repeats(report.rows), problems, tokenizer)
    sampled_rows = load_labels(artifact_folder(run, "rollouts") / "labels")
    rule = position_rule(*places_and_counts(read_lines(sampled_rows, run.train_slices["label"], tokenizer)))
    unlearnt = unlearnt_tasks(run)
    tuning_rows = [row for row in sampled_rows if row.task_id in unlearnt]
    tuning = read_lines(tuning_rows, run.train_slices["label"], tokenizer) if tuning_rows else None
    places, counts = places_and_counts(lines)
    at_rule = (placed(rule, counts) == places).astype(np.float64)
    found: dict[str, Any] = {"position": {"hit1": program_mean(lines, at_rule), "line": rule}}
    hits = {}
    for name, prm in prms.items():
        p = scores(run, prm, lines)
        theta = best_threshold(tuning, scores(run, prm, tuning)) if tuning else THETA
        hits[name] = first_error_hits(lines, p, theta)
        found[name] = {
            "hit1": program_mean(lines, hits[name]),
            "theta": theta,
            "hit1_half": program_mean(lines, first_error_hits(lines, p, THETA)),
            "hit1_lowest": program_mean(lines, first_error_hits(lines, p, -math.inf)),
            "auroc": label_auroc(once, p, once.known),
            "over_position": program_mean(lines, hits[name] - at_rule),
        }
    for older, newer in pairwise(prms):
        found[newer][f"over_{older}"] = program_mean(lines, hits[newer] - hits[older])
    newest = list(prms)[-1]
    found |= surprise_figures(run, prms[newest], lines, once, tuning, hits[newest])
    return {"verdicts": dict(report.table["rollout"]), "failing": len(places), **found}


def surprise_figures(
    run: RunInputs, prm: Path, lines: Lines, once: Lines, tuning: Lines | None, prm_hits: Floats
) -> dict[str, dict[str, Any]]:
    """What the policy's own log-probabilities find, alone and with a PRM by a rule fitted to ``tuning``.

    ``confident`` are the programs whose first wrong line the policy's first choice writes too: each of its tokens has
    more than half of the probability.
    """
    least = least_logprobs(run, lines)
    programs, places = wrong_places(lines)
    sure = least[lines.offsets[programs] + places] > np.log(THETA)
    hits = first_error_hits(lines, np.exp(least), THETA)
    found: dict[str, dict[str, Any]] = {
        "surprise": {
            "hit1": program_mean(lines, hits),
            "auroc": label_auroc(once, least_logprobs(run, once), once.known),
        },
        "confident": {
            "share": float(sure.mean()),
            "hit1": [mean_where(prm_hits, sure), None, None],
            "hit1_surprise": [mean_where(hits, sure), None, None],
        },
    }
    reached = lines_of_failures(tuning) if tuning else np.zeros(0, dtype=np.int64)
    if tuning and 0 < (tuning.labels[reached] == POSITIVE).sum() < len(reached):
        rule = fit_rule(
            least_logprobs(run, tuning)[reached], scores(run, prm, tuning)[reached], tuning.labels[reached] == POSITIVE
        )
        combined = combined_hits(lines, least, scores(run, prm, lines), rule)
        found["combined"] = {"hit1": program_mean(lines, combined), "rule": rule}
        found["confident"]["hit1_combined"] = [mean_where(combined, sure), None, None]
    return found


def lines_of_failures(lines: Lines) -> Ints:
    """The labelled lines of programs with a known first wrong line."""
    programs, _ = wrong_places(lines)
    found: Ints = lines.known[np.isin(lines.program[lines.known], programs)]
    return found


def combined_hits(lines: Lines, least: Floats, p: Floats, rule: Mapping[str, float]) -> Floats:
    """For each program with a known first wrong line whether the rule names it: 1 or 0."""
    programs, places = wrong_places(lines)
    named = likeliest_first_error(least, p, ~lines.batch.line_neutral, lines.offsets, **rule)
    return (named[programs] == places).astype(np.float64)


def least_logprobs(run: RunInputs, lines: Lines) -> Floats:
    """The SFT policy's lowest log-probability of a token of each line."""
    budget = run.config.algorithm.micro_batch_tokens
    values = policy_logprobs(artifact_folder(run, "sft"), lines.batch, run.dtype, budget)
    return over_lines(values, lines.batch, lowest=True)


def mean_where(values: Floats, where: NDArray[np.bool_]) -> float | None:
    """Mean of the chosen values; None without any."""
    return float(values[where].mean()) if where.any() else None


def scores(run: RunInputs, prm: Path, lines: Lines) -> Floats:
    """The PRM's score of each line, read as in the run."""
    return reward_scores(prm, lines.batch, run.dtype, run.config.algorithm.micro_batch_tokens)


def unlearnt_tasks(run: RunInputs) -> set[str]:
    """The labelled problems that the reward stage keeps for itself."""
    rows = load_labels(artifact_folder(run, "label") / "labels")
    return held_out_tasks(rows, run.config.prm.held_out_share, run.config.seed)


def best_threshold(lines: Lines, p: Floats) -> float:
    """The threshold with the most first wrong lines found; of several, the nearest to ``THETA``."""
    found = {float(theta): first_error_hits(lines, p, theta).sum() for theta in THRESHOLDS}
    return max(found, key=lambda theta: (found[theta], -abs(theta - THETA)))


def places_and_counts(lines: Lines) -> tuple[Ints, Ints]:
    """For each program with a known first wrong line its place, and how many lines the program has."""
    programs, places = wrong_places(lines)
    return places, np.diff(lines.offsets)[programs]


def position_rule(places: Ints, counts: Ints) -> int:
    """The place that is wrong most often, from the start (0 and more) or from the end (below 0)."""
    rules = [k for at in range(FARTHEST) for k in (at, -1 - at)]
    return max(rules, key=lambda rule: int((placed(rule, counts) == places).sum()))


def placed(rule: int, counts: Ints) -> Ints:
    """The line that the rule names in programs of so many lines."""
    return np.clip(rule if rule >= 0 else counts + rule, 0, counts - 1)


if __name__ == "__main__":
    main()
