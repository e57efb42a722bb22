"""The teachers of a run, with the language model if they need one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from prl_ray.actors.chat import EngineChat
from prl_ray.actors.sampling_engine import GeneratorSetup
from prl_ray.fingerprints import fingerprint
from prl_ray.inputs import RunInputs
from prl_ray.models.registry import resolve_model
from prl_ray.stages.context import RunContext
from prl_ray.supervision import RuleTeachers, Teachers
from prl_ray.supervision.borrowed import BorrowingTeachers
from prl_ray.supervision.llm import CachedChat, Chat, Endpoint, LlmTeachers, MixedTeachers


@contextmanager
def teachers_of(context: RunContext) -> Iterator[Teachers]:
    """The configured teachers. Raises if they need a language model that is not available."""
    config = context.config.teacher
    rules: Teachers = RuleTeachers(config.weights)
    if config.borrowed_share:
        rules = MixedTeachers(BorrowingTeachers(context.inputs.train_slices["label"]), rules, config.borrowed_share)
    if config.name == "rules":
        yield rules
        return
    with _chat(context) as (model, chat):
        cached = CachedChat(chat, context.inputs.store / "llm_answers")
        llm = LlmTeachers(cached, replace(config, model=model), context.config.seed)
        yield llm if config.name == "llm" else MixedTeachers(llm, rules, config.llm_share)


def teacher_folder(inputs: RunInputs) -> Path:
    """Folder of the language model that our own engines serve as the teacher: the configured one, or the base model."""
    path = inputs.config.teacher.model
    return resolve_model(path=path) if path else inputs.base


@contextmanager
def _chat(context: RunContext) -> Iterator[tuple[str, Chat]]:
    """The language model's name and its client: a running server, or our own engines for the duration of the block."""
    config, cluster = context.config.teacher, context.config.cluster
    if config.endpoint:
        endpoint = Endpoint(
            config.endpoint,
            config.key,
            timeout_s=config.answer_timeout_s,
            attempts=config.attempts,
            parallel=config.parallel,
        )
        endpoint.check(config.model)
        yield config.model, endpoint
        return
    model = teacher_folder(context.inputs)
    setup = GeneratorSetup(
        model=model,
        dtype=context.inputs.dtype_choice.name,
        max_model_len=config.max_prompt_tokens + config.max_answer_tokens,
        seed=context.config.seed,
        tensor_parallel=cluster.generator_tensor_parallel,
        pipeline_parallel=cluster.generator_pipeline_parallel,
    )
    engines = context.fleet.start_engines(setup)
    try:
        # stored answers are found by this name: other weights in the same folder are another model
        yield f"{model.name}-{fingerprint(model)}", EngineChat(engines, cluster.request_timeout_s, config.attempts)
    finally:
        context.fleet.stop(engines)
