"""Who proposes variants in a run, with the language model that it may need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from prl_ray.actors.chat import EngineChat
from prl_ray.actors.generator import GeneratorSetup
from prl_ray.models.registry import resolve_model
from prl_ray.recipe import Run
from prl_ray.supervision import RuleTeachers, Teachers
from prl_ray.supervision.llm import CachedChat, Chat, Endpoint, LlmTeachers, MixedTeachers


@contextmanager
def teachers_of(run: Run) -> Iterator[Teachers]:
    """Who proposes variants. Raises where a language model is wanted and cannot be asked."""
    config = run.config.teacher
    rules = RuleTeachers(config.weights)
    if config.name == "rules":
        yield rules
        return
    with _chat(run) as (model, chat):
        cached = CachedChat(chat, run.store / "llm_answers")
        llm = LlmTeachers(cached, replace(config, model=model), run.config.seed)
        yield llm if config.name == "llm" else MixedTeachers(llm, rules, config.llm_share)


@contextmanager
def _chat(run: Run) -> Iterator[tuple[str, Chat]]:
    """The language model's name and who answers for it: a server that is there, or engines for as long as it takes."""
    config, cluster = run.config.teacher, run.config.cluster
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
    model = resolve_model(path=config.model) if config.model else run.base
    setup = GeneratorSetup(
        model=model,
        dtype=str(run.dtype[0]).removeprefix("torch."),
        max_model_len=config.max_prompt_tokens + config.max_answer_tokens,
        seed=run.config.seed,
    )
    engines = run.fleet.start_engines(setup)
    try:
        yield str(model), EngineChat(engines, cluster.request_timeout_s, config.attempts)
    finally:
        run.fleet.stop(engines)
