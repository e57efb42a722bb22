"""pass@k of the policies on held-out problems, compared pairwise, and best of n by the reward models."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

from prl_ray.actors.generator import Sampling
from prl_ray.actors.scoring import ScorerSetup
from prl_ray.artifacts import Artifact
from prl_ray.errors import ModelError
from prl_ray.evaluation import Sampled, paired_gain, read_samples, summarise, write_samples
from prl_ray.evaluation_record import Evaluation
from prl_ray.evaluation_samples import sample_programs
from prl_ray.fingerprints import code_version, fingerprint
from prl_ray.inputs import RunInputs
from prl_ray.problems import Problem
from prl_ray.rerank import best_of_n
from prl_ray.seeds import derive
from prl_ray.stages import ppo, prm, sft
from prl_ray.stages.context import RunContext
from prl_ray.tracking.evaluation_tables import evaluation_table, rerank_table, rerank_title

name = "evaluate"
CODE = (
    "prl_ray/actors/forward.py",
    "prl_ray/actors/generator.py",
    "prl_ray/actors/requests.py",
    "prl_ray/actors/sampling_engine.py",
    "prl_ray/actors/scoring.py",
    "prl_ray/evaluation.py",
    "prl_ray/evaluation_samples.py",
    "prl_ray/lines",
    "prl_ray/models",
    "prl_ray/ppo/collate.py",
    "prl_ray/problems",
    "prl_ray/sampling.py",
    "prl_ray/seeds.py",
    "prl_ray/stages/evaluate.py",
    "prl_ray/trajectory.py",
    "sandbox_workers",
)
MODES = ("greedy", "sampled")
NOT_SAMPLING = ("policies", "k", "rerank", "aggregate", "prm", "orm")
"""Keys of ``evaluate`` that do not change the samples."""


def artifact(inputs: RunInputs, policy: str = "ppo") -> Artifact:
    """Samples of one policy (``base``, ``sft`` or ``ppo``) with their verdicts, greedy and sampled."""
    config = inputs.config
    judges = {kind: _judge_inputs(inputs, kind) for kind in config.evaluate.rerank}
    return Artifact.of(
        inputs.store,
        name,
        **inputs.sources,
        **inputs.engine_inputs,
        evaluate={key: value for key, value in vars(config.evaluate).items() if key not in NOT_SAMPLING},
        policy=inputs.model_inputs["base"] if policy == "base" else _policy(inputs, policy).key,
        model=config.model,
        dtype=inputs.dtype_choice.name,
        sandbox=config.sandbox,
        **({"judges": judges} if judges else {}),
        code=code_version(CODE),
    )


def artifacts(inputs: RunInputs) -> list[Artifact]:
    """One artifact per policy."""
    return [artifact(inputs, policy) for policy in inputs.config.evaluate.policies]


def check(inputs: RunInputs) -> None:
    """Raises ``DataError`` where there are no problems to evaluate on."""
    _problems(inputs)


def _problems(inputs: RunInputs) -> list[Problem]:
    config = inputs.config.evaluate
    return inputs.problems(config.split, config.problems)  # type: ignore[arg-type]


def run(context: RunContext) -> Evaluation:
    """Makes one ``evaluate`` artifact per policy, and ``evaluation.json`` in the run folder."""
    config, inputs = context.config.evaluate, context.inputs
    problems = context.fitting(_problems(inputs))
    results: dict[str, dict[str, Sampled]] = {}
    detail = f"{len(problems)} {config.split} problems, greedy and {config.samples} samples each"
    with context.console.stage(name, detail):
        for number, policy in enumerate(config.policies):
            made = artifact(inputs, policy)
            if made.exists:
                context.console.note(f"{policy}: already evaluated ({made.need()})")
            else:
                _start_actors(context, problems)
                _evaluate(context, policy, -1 - number, problems, made)
            results[policy] = {mode: read_samples(made.folder / f"{mode}.jsonl") for mode in MODES}
            for mode in MODES:
                shutil.copyfile(made.folder / f"{mode}.jsonl", inputs.folder / f"samples_{policy}_{mode}.jsonl")
    return _report(context, problems, results)


def rerank_folder(inputs: RunInputs, kind: str) -> Path:
    """Folder of the reward model that chooses among an evaluation's samples: the configured one, or the run's own.

    Raises ``ModelError`` if there is none, it has the wrong kind, or its tokenizer differs from the policy's.
    """
    given = inputs.config.evaluate.rerank_path(kind)
    folder = Path(given).resolve() if given else _own_judge(inputs, kind)
    prm.check_judge(inputs, folder, kind)
    return folder


def _own_judge(inputs: RunInputs, kind: str) -> Path:
    own = prm.artifact(inputs, kind)  # type: ignore[arg-type]
    if not own.exists:
        raise ModelError(
            f"evaluate.rerank={inputs.config.evaluate.rerank}: this run has no {kind} yet; run its stage "
            f"'{prm.name}', or give the folder: evaluate.{kind}=runs/NAME/{kind}"
        )
    return own.need()


def policy_folder(inputs: RunInputs, policy: str) -> Path:
    """Folder of ``base``, ``sft`` or ``ppo``. Raises ``DataError`` if it does not exist yet."""
    return inputs.base if policy == "base" else _policy(inputs, policy).need()


def _policy(inputs: RunInputs, policy: str) -> Artifact:
    return {sft.name: sft.artifact, ppo.name: ppo.artifact}[policy](inputs)


def _judge_inputs(inputs: RunInputs, kind: str) -> str:
    given = inputs.config.evaluate.rerank_path(kind)
    return fingerprint(Path(given)) if given else prm.artifact(inputs, kind).key  # type: ignore[arg-type]


def _evaluate(context: RunContext, policy: str, version: int, problems: list[Problem], made: Artifact) -> None:
    config, limit = context.config.evaluate, context.config.cluster.request_timeout_s
    context.fleet.engines.load_folder(policy_folder(context.inputs, policy).resolve(), version)
    longest = context.config.model.max_response_tokens
    with made.write() as place:
        for mode in MODES:
            sampling = (
                Sampling(1, 0.0, longest, context.config.seed)
                if mode == "greedy"
                else Sampling(config.samples, config.temperature, longest, derive(context.config.seed, "evaluate"))
            )
            with context.console.progress(f"{policy} {mode}", len(problems)) as advance:
                scored = bool(config.rerank) and mode == "sampled"
                rows = sample_programs(context.fleet, problems, sampling, limit, advance, scored=scored)
            write_samples(place / f"{mode}.jsonl", problems, rows)


def _start_actors(context: RunContext, problems: list[Problem]) -> None:
    fleet, inputs = context.fleet, context.inputs
    fleet.start_verifiers(problems)
    fleet.start_generators(context.generator_setup())
    judges = {kind: rerank_folder(inputs, kind) for kind in context.config.evaluate.rerank}
    if judges and not fleet.scorers:
        fleet.start_scorers(
            ScorerSetup(
                prm=judges.get("prm"),
                orm=judges.get("orm"),
                trunk=None,
                features=False,
                dtype=inputs.dtype,
                micro_batch_tokens=context.config.algorithm.micro_batch_tokens,
            )
        )
    fleet.wait_ready()


def _report(context: RunContext, problems: list[Problem], results: dict[str, dict[str, Sampled]]) -> Evaluation:
    config = context.config.evaluate
    names = list(results)
    evaluation: Evaluation = {
        "problems": context.config.problems.name,
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
    (context.inputs.folder / "evaluation.json").write_text(json.dumps(evaluation, indent=2) + "\n")
    figures = {
        f"val-core/{context.config.problems.name}/{name}/{mode}/pass@1": values["pass@1"]
        for name, found in evaluation["policies"].items()
        for mode, values in zip(MODES, (found["greedy"], found["sampled"]), strict=True)
    }
    context.tracker.rewind("evaluate")
    context.tracker.log(0, figures, stage="evaluate")
    context.tracker.summary(figures)
    columns, rows = evaluation_table(evaluation)
    context.console.table(f"held-out {context.config.problems.name}, pass@k ± standard error", columns, rows)
    if config.rerank:
        context.console.table(rerank_title(evaluation), *rerank_table(evaluation))
    return evaluation
