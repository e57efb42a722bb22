"""pass@k of the policies on held-out problems, side by side and paired, and best of n by the reward models."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prl_ray.actors.generator import Sampling
from prl_ray.actors.scoring import ScorerSetup
from prl_ray.artifacts import Artifact, artifact
from prl_ray.evaluation import Sampled, paired_gain, read_samples, sample_programs, summarise, write_samples
from prl_ray.problems import Problem
from prl_ray.recipe import Run
from prl_ray.report import evaluation_table, rerank_table, rerank_title
from prl_ray.rerank import best_of_n

MODES = ("greedy", "sampled")
NOT_SAMPLING = ("policies", "k", "rerank", "aggregate", "prm", "orm")
"""Keys of ``evaluate`` that do not change what is sampled."""


def evaluate(run: Run) -> dict[str, Any]:
    """Makes one ``evaluate`` artifact a policy, and ``evaluation.json`` in the run folder."""
    config = run.config.evaluate
    problems = run.sampled_from(run.problems(config.split, config.problems))  # type: ignore[arg-type]
    results: dict[str, dict[str, Sampled]] = {}
    judges = {kind: run.rerank_folder(kind) for kind in config.rerank}
    detail = f"{len(problems)} {config.split} problems, greedy and {config.samples} samples each"
    with run.console.stage("evaluate", detail):
        for number, policy in enumerate(config.policies):
            folder = run.policy_folder(policy)
            made = artifact(
                run.store,
                "evaluate",
                **run.sources,
                evaluate={k: v for k, v in vars(config).items() if k not in NOT_SAMPLING},
                policy=folder.name,
                path=str(folder),
                model=run.config.model,
                dtype=str(run.dtype[0]),
                sandbox=run.config.sandbox,
                **({"judges": {kind: str(place) for kind, place in judges.items()}} if judges else {}),
            )
            if made.exists:
                run.console.note(f"{policy}: evaluated already ({made.folder})")
            else:
                _start_actors(run, problems, judges)
                _evaluate(run, policy, folder, -1 - number, problems, made)
            results[policy] = {mode: read_samples(made.folder / f"{mode}.jsonl") for mode in MODES}
            for mode in MODES:
                (run.folder / f"samples_{policy}_{mode}.jsonl").write_bytes(
                    (made.folder / f"{mode}.jsonl").read_bytes()
                )
    return _report(run, problems, results)


def _evaluate(run: Run, policy: str, folder: Path, version: int, problems: list[Problem], made: Artifact) -> None:
    config, limit = run.config.evaluate, run.config.cluster.request_timeout_s
    run.fleet.serve("load_folder", folder.resolve(), version)
    longest = run.config.model.max_response_tokens
    with made.made() as place:
        for mode in MODES:
            sampling = (
                Sampling(1, 0.0, longest, run.config.seed)
                if mode == "greedy"
                else Sampling(config.samples, config.temperature, longest, run.config.seed + 7919)
            )
            with run.console.progress(f"{policy} {mode}", len(problems)) as advance:
                scored = bool(config.rerank) and mode == "sampled"
                rows = sample_programs(run.fleet, problems, sampling, limit, advance, scored=scored)
            write_samples(place / f"{mode}.jsonl", problems, rows)


def _start_actors(run: Run, problems: list[Problem], judges: Mapping[str, Path]) -> None:
    run.fleet.start_verifiers(problems)
    run.fleet.start_generators(run.generator_setup())
    if judges and not run.fleet.scorers:
        run.fleet.start_scorers(
            ScorerSetup(
                prm=judges.get("prm"),
                orm=judges.get("orm"),
                trunk=None,
                features=False,
                dtype=run.dtype[0],
                micro_batch_tokens=run.config.algorithm.micro_batch_tokens,
            )
        )
    run.fleet.wait_ready()


def _report(run: Run, problems: list[Problem], results: dict[str, dict[str, Sampled]]) -> dict[str, Any]:
    config = run.config.evaluate
    names = list(results)
    evaluation: dict[str, Any] = {
        "problems": run.config.problems.name,
        "split": config.split,
        "n_problems": len(problems),
        "policies": {
            name: summarise(problems, modes["greedy"], modes["sampled"], config.k) for name, modes in results.items()
        },
        "gain": {
            f"{after}-{before}": {mode: paired_gain(results[before][mode], results[after][mode]) for mode in MODES}
            for before, after in itertools.pairwise(names)
        },
    }
    if config.rerank:
        for name, modes in results.items():
            evaluation["policies"][name]["rerank"] = best_of_n(modes["sampled"], config.aggregate)
    (run.folder / "evaluation.json").write_text(json.dumps(evaluation, indent=2) + "\n")
    figures = {
        f"val-core/{run.config.problems.name}/{name}/{mode}/pass@1": values[mode]["pass@1"]
        for name, values in evaluation["policies"].items()
        for mode in MODES
    }
    run.tracker.rewind("evaluate")
    run.tracker.log(0, figures, stage="evaluate")
    run.tracker.summary(figures)
    columns, rows = evaluation_table(evaluation)
    run.console.table(f"held-out {run.config.problems.name}, pass@k ± standard error", columns, rows)
    if config.rerank:
        run.console.table(rerank_title(evaluation), *rerank_table(evaluation))
    return evaluation
