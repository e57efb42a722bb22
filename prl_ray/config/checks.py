"""Validation of a composed config; each error says what to change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prl_ray.config.keys import check_key
from prl_ray.config.learning import AlgorithmConfig, EvaluateConfig
from prl_ray.config.machine import ClusterConfig
from prl_ray.config.run import POLICIES, REWARD_MODELS, STAGES, Config
from prl_ray.credit.locators import LOCATORS
from prl_ray.errors import ConfigError
from prl_ray.options import check_option, chosen
from prl_ray.plugins import checked_params
from prl_ray.ppo.advantages import BY_LINE, ESTIMATORS
from prl_ray.ppo.config import POLICY_LOSSES
from prl_ray.problems import EVALUATION_ONLY, LOADERS
from prl_ray.rewards.shaping import SHAPINGS
from prl_ray.suggestions import did_you_mean
from prl_ray.urls import check_url, is_url

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def validate(composed: DictConfig | Mapping[str, object]) -> Config:
    """A composed config as a :class:`Config`.

    Raises:
        ConfigError: an unknown key (with the nearest known one), a wrong type, a value out of bounds, or settings that
            contradict each other.
    """
    node = composed if isinstance(composed, DictConfig) else OmegaConf.create(dict(composed))
    for path in _leaves(node):
        check_key(path)
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Config), node)
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise ConfigError(f"config: {error.full_key or ''}: {str(error).splitlines()[0]}") from error
    assert isinstance(config, Config)
    config.stages = ["prm" if stage == "reward" else stage for stage in config.stages]  # its name before 0.2
    for path, spec, value in _options(config):
        check_option(path, spec, value)
    _check_together(config)
    return config


def _options(config: DataclassInstance, prefix: str = "") -> Iterator[tuple[str, Field[object], object]]:
    for spec in fields(config):
        value = getattr(config, spec.name)
        if is_dataclass(value) and not isinstance(value, type):
            yield from _options(value, f"{prefix}{spec.name}.")
        else:
            yield f"{prefix}{spec.name}", spec, value


def _leaves(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in map(str, node):
        path = f"{prefix}{key}"
        child = node._get_node(key)
        if isinstance(child, DictConfig):
            yield path
            yield from _leaves(child, f"{path}.")
        else:
            yield path


def _check_together(config: Config) -> None:
    _check_members("stages", config.stages, STAGES)
    if not config.stages:
        raise ConfigError(f"config: stages=[] runs nothing; give one or more of {', '.join(STAGES)}")
    _check_members("evaluate.policies", config.evaluate.policies, POLICIES)
    if "evaluate" in config.stages and not config.evaluate.policies:
        raise ConfigError(
            f"config: evaluate.policies=[] evaluates nothing; give one or more of {', '.join(POLICIES)}, or leave "
            f"'evaluate' out of `stages`"
        )
    _check_rerank(config.evaluate)
    SHAPINGS.find(config.reward.name).check_params(config.reward.params)
    checked_params(LOADERS.find(config.problems.name), config.problems.params, "problems.params")
    transport = chosen(config.cluster, "weights")
    assert callable(transport)
    checked_params(transport, config.cluster.weights_params, "cluster.weights_params")
    _check_algorithm(config.algorithm)
    _check_cluster(config.cluster)
    _check_devices(config)
    _check_learns(config)
    _check_prm(config)
    if config.teacher.name != "rules":
        config.teacher.check_llm()
    if not re.fullmatch(r"\w[\w.+-]*", config.run_name) or config.run_name == "artifacts":
        raise ConfigError(
            f"config: name={config.run_name!r} must be a plain folder name (letters, digits, . + - _), not artifacts"
        )
    for key, place in (("runs_dir", config.runs_dir), ("model.path", config.model.path)):
        if is_url(place):
            check_url(key, place)
    if config.problems.min_difficulty > config.problems.max_difficulty:
        raise ConfigError("config: problems.min_difficulty is above problems.max_difficulty")
    if config.problems.name in EVALUATION_ONLY and set(config.stages) != {"evaluate"}:
        name = config.problems.name
        raise ConfigError(f"config: problems={name} is for evaluation only; use python -m prl_ray.evaluate")
    if any(k < 1 for k in config.evaluate.k):
        raise ConfigError(f"config: evaluate.k={config.evaluate.k}: pass@k needs k of at least 1")
    if config.loop.prompts_per_step % config.algorithm.minibatches:
        raise ConfigError(
            f"config: loop.prompts_per_step={config.loop.prompts_per_step} problems per step cannot be divided into "
            f"algorithm.minibatches={config.algorithm.minibatches} equal parts"
        )
    if config.reward.name == "group_gated" and config.loop.filter_groups:
        raise ConfigError(
            "config: reward=group_gated pays line scores to groups with equal outcomes, which "
            "loop.filter_groups=true removes; set loop.filter_groups=false"
        )
    by_line = ESTIMATORS.find(config.algorithm.estimator).needs in BY_LINE
    if by_line and SHAPINGS.find(config.reward.name).needs == "lines":
        raise ConfigError(
            f"config: algorithm.estimator={config.algorithm.estimator} assigns credit to lines itself, and "
            f"reward={config.reward.name} pays lines too; set reward=outcome, or algorithm=ppo"
        )
    if ESTIMATORS.find(config.algorithm.estimator).groups and config.loop.samples_per_prompt < 2:
        raise ConfigError(
            f"config: algorithm.estimator={config.algorithm.estimator} needs loop.samples_per_prompt >= 2"
        )


def _check_devices(config: Config) -> None:
    if config.model.attention == "flash_attention_2" and not config.cluster.learner_gpus:
        raise ConfigError(
            "config: model.attention=flash_attention_2 needs learners on GPUs (cluster.learner_gpus); use auto"
        )
    if config.loop.in_flight and not config.loop.max_staleness:
        raise ConfigError(
            "config: loop.in_flight=true updates engines while they sample ahead of the learner, and "
            "loop.max_staleness=0 lets none sample ahead: set it to 1 or more"
        )
    if config.loop.in_flight and ESTIMATORS.find(config.algorithm.estimator).needs == "completions":
        raise ConfigError(
            f"config: algorithm.estimator={config.algorithm.estimator} takes the value of a line from completions, and "
            "with loop.in_flight=true several versions of the policy would complete it, which nothing corrects: set "
            "loop.in_flight=false"
        )
    if config.cluster.generator_sleep and config.loop.max_staleness:
        raise ConfigError(
            "config: cluster.generator_sleep stops the engines while the learner works, and loop.max_staleness="
            f"{config.loop.max_staleness} has them sample meanwhile: set one of them to 0"
        )


def _check_cluster(cluster: ClusterConfig) -> None:
    if cluster.generator_sleep and not (cluster.generator_gpus and cluster.learner_gpus):
        raise ConfigError(
            f"config: cluster.generator_sleep={cluster.generator_sleep} frees GPU memory for the learner, and this "
            "layout has no GPUs for both: set it to 0, or take +cluster=single_gpu"
        )
    if cluster.generator_ranks > 1 and cluster.generator_gpus % 1:
        raise ConfigError(
            f"config: an engine of {cluster.generator_ranks} ranks (cluster.generator_tensor_parallel, "
            "cluster.generator_pipeline_parallel) needs whole GPUs: cluster.generator_gpus is "
            f"{cluster.generator_gpus:g} for each rank, give it 1"
        )


def _check_algorithm(algorithm: AlgorithmConfig) -> None:
    ESTIMATORS.find(algorithm.estimator).check_params(algorithm.estimator_params)
    LOCATORS.find(algorithm.locator).check_params(algorithm.locator_params)
    if algorithm.loss_params:
        checked_params(POLICY_LOSSES.find(algorithm.loss), algorithm.loss_params, "algorithm.loss_params")
    least = {"none": 0, "optimizer": 1, "all": 3}[algorithm.offload]
    if algorithm.zero_stage < least:
        raise ConfigError(
            f"config: algorithm.offload={algorithm.offload} needs algorithm.zero_stage={least} or more, not "
            f"{algorithm.zero_stage}"
        )
    if algorithm.kl_in == "loss" and algorithm.kl_estimator == "k1":
        raise ConfigError(
            "config: algorithm.kl_in=loss with algorithm.kl_estimator=k1: k1 has a gradient of zero on average: the "
            "term would have no effect. Use k2 or k3"
        )
    if algorithm.credited_only:
        _check_credited(algorithm)


def _check_credited(algorithm: AlgorithmConfig) -> None:
    """Credited tokens must be known before any pass of a model."""
    if ESTIMATORS.find(algorithm.estimator).needs == "values":
        raise ConfigError(
            f"config: algorithm.loss_tokens=credited leaves out tokens without an advantage, and "
            f"algorithm.estimator={algorithm.estimator} gives one to every token; set algorithm.loss_tokens=all"
        )
    if algorithm.kl_coef and algorithm.kl_in == "reward":
        raise ConfigError(
            "config: algorithm.loss_tokens=credited with algorithm.kl_in=reward: the KL of all tokens is part of the "
            "rewards. Set algorithm.kl_in=loss and algorithm.kl_estimator=k3, or algorithm.kl_coef=0"
        )


def _check_learns(config: Config) -> None:
    """Rejects settings under which PPO would never change the policy, unless ``algorithm.dry_run`` allows it."""
    algorithm, steps = config.algorithm, config.loop.steps
    if algorithm.dry_run or not steps:
        return
    says = "; set algorithm.dry_run=true if this is intended"
    if algorithm.learning_rate == 0:
        raise ConfigError(f"config: algorithm.learning_rate=0: PPO would learn nothing{says}")
    if ESTIMATORS.find(algorithm.estimator).needs == "values" and algorithm.critic_warmup >= steps:
        raise ConfigError(
            f"config: algorithm.critic_warmup={algorithm.critic_warmup} of loop.steps={steps}: every PPO step would "
            f"train the critic alone{says}"
        )


def _check_prm(config: Config) -> None:
    """Rejects samples for a PRM that is given, and a PRM that would be trained during PPO, but which nothing reads or
    without labels."""
    if config.prm.path and config.prm.rollouts:
        raise ConfigError(
            f"config: prm.rollouts={config.prm.rollouts} samples are for training a PRM, and prm.path gives one that "
            "is used as it is; set one of them"
        )
    if not config.prm.online:
        if config.prm.online_replay:
            raise ConfigError(
                f"config: prm.online_replay={config.prm.online_replay} is for a PRM that learns during PPO; set "
                "prm.online=true"
            )
        return
    algorithm = config.algorithm
    estimator = ESTIMATORS.find(algorithm.estimator)
    located = estimator.needs == "lines" and LOCATORS.find(algorithm.locator).needs == "prm"
    if not located and SHAPINGS.find(config.reward.name).needs != "lines":
        raise ConfigError(
            f"config: prm.online=true, but neither reward={config.reward.name} nor algorithm.estimator="
            f"{algorithm.estimator} with algorithm.locator={algorithm.locator} reads the PRM; set prm.online=false"
        )
    if not algorithm.locator_check:
        raise ConfigError(
            "config: prm.online=true learns from executed lines, and algorithm.locator_check=0 executes none"
        )


def _check_rerank(evaluate: EvaluateConfig) -> None:
    _check_members("evaluate.rerank", evaluate.rerank, REWARD_MODELS)
    if evaluate.rerank and evaluate.samples < 2:
        raise ConfigError(
            f"config: evaluate.rerank={evaluate.rerank} chooses among samples: evaluate.samples must be at least 2"
        )
    for kind in REWARD_MODELS:
        if evaluate.rerank_path(kind) and kind not in evaluate.rerank:
            raise ConfigError(f"config: evaluate.{kind} is set but not used; add {kind} to evaluate.rerank")


def _check_members(path: str, values: Sequence[str], allowed: Sequence[str]) -> None:
    for value in values:
        if value not in allowed:
            near = did_you_mean(str(value), allowed)
            raise ConfigError(f"config: {path}: '{value}' is not one of {', '.join(allowed)}{near}")
