"""Labelling: variants of the references, executed on the verifier pool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prl_ray.actors.handles import Handle, ask, get
from prl_ray.actors.verifier_pool import VerifierPool
from prl_ray.artifacts import Artifact
from prl_ray.credit.verdicts import LineVerdict
from prl_ray.fingerprints import code_version, fingerprint, module_version
from prl_ray.inputs import RunInputs
from prl_ray.problems.problem import Problem, need_python
from prl_ray.stages.context import RunContext
from prl_ray.stages.teachers import teacher_folder, teachers_of
from prl_ray.supervision import label_problems, save_labels
from prl_ray.supervision.executor import Call, Locate, Verify
from prl_ray.tracking.problem_file import write_problems
from sandbox_workers import CallResult, TestSuite, Verdict

name = "label"
CODE = ("prl_ray/supervision", "prl_ray/lines", "prl_ray/problems", "prl_ray/seeds.py", "sandbox_workers")
"""Modules that the labels depend on."""
TESTS_ONLY = "stages=[sft,ppo,evaluate] sft.problems=0 locator=surprise"
"""Settings for problems without references."""
CHUNK = 16
"""Programs per request to the verifiers."""


def artifact(inputs: RunInputs) -> Artifact:
    """The labelled lines of the training problems."""
    check(inputs)
    config = inputs.config
    teacher = config.teacher.inputs()
    if config.teacher.name != "rules" and not config.teacher.endpoint:
        teacher["model"] = fingerprint(teacher_folder(inputs))
        teacher |= inputs.engine_inputs
    if own := config.teacher.operator_modules:
        teacher["operators_code"] = {module: module_version(module) for module in sorted(own)}
    return Artifact.of(
        inputs.store,
        name,
        **inputs.sources,
        teacher=teacher,
        sandbox=config.sandbox,
        first=inputs.train_slices["label"][0].task_id,
        code=code_version(CODE),
    )


def artifacts(inputs: RunInputs) -> list[Artifact]:
    """The one artifact of this stage."""
    return [artifact(inputs)]


def check(inputs: RunInputs) -> None:
    """Raises ``DataError`` where there is nothing to label."""
    inputs.need_references(name, f"learn from the tests alone: {TESTS_ONLY}")


def run(context: RunContext) -> None:
    """Makes the ``label`` artifact."""
    problems = context.inputs.train_slices["label"]
    context.produce(artifact(context.inputs), f"{len(problems)} problems, teacher {context.config.teacher.name}", _make)


def _make(context: RunContext, made: Artifact) -> None:
    problems = context.inputs.train_slices["label"]
    need_python(problems, "labelling")
    config = context.config.teacher.label_config(context.config.seed)
    with teachers_of(context) as teachers:
        pool = context.fleet.start_verifiers(problems)
        with context.console.progress(name, len(problems)) as advance, made.write() as folder:
            done = 0

            def progress(count: int, total: int) -> None:
                nonlocal done
                advance(count - done)
                done = count

            report = label_problems(problems, config, verify_on(pool), call_on(pool), progress, teachers=teachers)
            save_labels(folder / "labels", report, config, problems=context.config.problems.name)
            write_problems(folder, problems)
    totals = report.totals
    context.tracker.rewind(name)
    context.tracker.log(0, {**totals, **{f"llm/{key}": count for key, count in report.cost.items()}}, stage=name)
    context.console.note(", ".join(f"{key} {count}" for key, count in totals.items()))
    if report.cost:
        context.console.note(report.llm_summary())


def verify_on(pool: Handle[VerifierPool]) -> Verify:
    """The pool as the labeller's ``verify``: chunks in parallel, verdicts in order."""

    def verify(items: Sequence[tuple[str, TestSuite]]) -> Iterator[Verdict]:
        refs = [ask(pool, VerifierPool.run, list(items[i : i + CHUNK])) for i in range(0, len(items), CHUNK)]
        for ref in refs:
            yield from get(ref)

    return verify


def call_on(pool: Handle[VerifierPool]) -> Call:
    """The pool as the labeller's ``call``."""

    def call(jobs: Sequence[tuple[str, str, Sequence[tuple[object, ...]]]]) -> Iterator[list[CallResult]]:
        refs = [ask(pool, VerifierPool.call, program, entry, list(arguments)) for program, entry, arguments in jobs]
        for ref, (_, _, arguments) in zip(refs, jobs, strict=True):
            results = get(ref)
            yield results or [CallResult(ok=False, error="VerifierLost")] * len(arguments)

    return call


def locate_on(pool: Handle[VerifierPool]) -> Locate:
    """The pool as the ``locate`` of ``label_rollouts``."""

    def locate(programs: Sequence[tuple[Problem, str]]) -> Iterator[LineVerdict | None]:
        failing = [(problem, program, False) for problem, program in programs]
        refs = [ask(pool, VerifierPool.located, failing[i : i + CHUNK]) for i in range(0, len(failing), CHUNK)]
        for ref in refs:
            yield from get(ref)

    return locate
