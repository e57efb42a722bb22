"""From a rollout's verdicts, scores and log-probabilities to rewards and advantages per token.

Cheap: every rank computes all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from prl_ray.actors.columns import Columns
from prl_ray.actors.rollout import Experience
from prl_ray.actors.update_part import UpdatePart, up_to_last
from prl_ray.config import AlgorithmConfig, RewardConfig
from prl_ray.credit.locators import LOCATORS, LocatorInputs
from prl_ray.credit.quality import hit_metrics
from prl_ray.ppo.advantages import BY_LINE, ESTIMATORS, AdvantageInputs, less_group_mean
from prl_ray.ppo.kl import penalise
from prl_ray.ppo.line_credit import UNKNOWN, LineCredit
from prl_ray.ppo.normalisers import NORMALISERS
from prl_ray.ppo.whitening import scale_of, scaled, weigh_negative
from prl_ray.rewards.controls import CONTROLS
from prl_ray.rewards.inputs import RewardInputs
from prl_ray.rewards.shaping import SHAPINGS


@dataclass(frozen=True, slots=True)
class Shaped:
    """Rewards of a batch, and the samples and tokens that count."""

    rewards: np.ndarray
    """float32 ``[tokens]``, without the KL penalty."""
    counted: np.ndarray
    """bool ``[tokens]``: tokens that are learnt from."""
    valid: np.ndarray
    """bool ``[samples]``: samples that have a reward; the others are in no baseline and no loss."""
    ok: np.ndarray
    """bool ``[samples]``: samples that count as passing."""
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Given:
    """Inputs of the advantages, all float32 ``[tokens]`` but the rewards."""

    shaped: Shaped
    old: np.ndarray
    """Log-probabilities by the policy before the step."""
    reference: np.ndarray
    """The same by the reference policy."""
    values: np.ndarray
    """By the critic; zeros without one."""
    read: np.ndarray
    """bool ``[tokens]``: tokens with log-probabilities; those of the others are 0."""

    @classmethod
    def unread(cls, shaped: Shaped) -> Given:
        """Before any pass."""
        zeros = np.zeros(len(shaped.rewards), dtype=np.float32)
        return cls(shaped, zeros, zeros, zeros, np.zeros(len(zeros), dtype=np.bool_))


def shaped_rewards(experience: Experience, reward: RewardConfig, gamma: float, seed: int) -> Shaped:
    """The configured shaping, under the configured control; ``seed`` is that of the control's random choices."""
    scores = experience.scores
    x = RewardInputs(
        experience.batch, experience.verdicts, scores.line_scores, scores.orm_scores, config=reward, gamma=gamma
    )
    shaping, control = SHAPINGS.find(reward.name), CONTROLS.find(reward.control)
    rewards = control(shaping, x, np.random.default_rng(seed))
    return Shaped(rewards, shaping.counted(x), x.valid, x.ok, x.metrics())


def advantage_columns(
    experience: Experience, given: Given, algorithm: AlgorithmConfig, kl_coef: float, seed: int = 0
) -> Columns:
    """KL penalty, group baseline, advantages and returns, as ``algorithm`` configures them.

    ``seed`` is that of a control among the locators.
    """
    in_reward = kl_coef if algorithm.kl_in == "reward" else 0.0
    shaped, batch = given.shaped, experience.batch
    penalised, kl = penalise(shaped.rewards, given.old, given.reference, in_reward, algorithm.kl_estimator)
    estimator = ESTIMATORS.find(algorithm.estimator)
    with_lines = estimator.needs in BY_LINE
    inputs = AdvantageInputs(
        penalised,
        batch.token_offsets,
        batch.prompt_ids,
        given.values,
        shaped.valid,
        penalty=in_reward * kl,
        lines=line_credit(experience, shaped.ok, algorithm, seed) if with_lines else None,
        gamma=algorithm.gamma,
        lam=algorithm.lam,
    )
    if estimator.needs == "values" and algorithm.group_baseline:
        inputs = replace(inputs, rewards=less_group_mean(inputs))
    gated = inputs.lines is not None and falls_back(experience, inputs.lines, algorithm)
    found = ESTIMATORS["gate"](inputs) if gated else estimator(inputs, algorithm.estimator_params)
    counted = shaped.counted if found.counted is None else shaped.counted & found.counted
    advantages = found.advantages
    if algorithm.whiten:
        advantages = scaled(advantages, counted, scale_of(advantages, counted, sparse=estimator.sparse))
    advantages = weigh_negative(advantages, algorithm.negative_scale)
    if algorithm.credited_only:
        counted = counted & up_to_last(np.where(counted, advantages, 0.0), batch.token_offsets)
    mask = counted.astype(np.float32)
    weights = NORMALISERS.find(algorithm.normaliser)(mask, batch.token_offsets, algorithm.normaliser_tokens)
    return Columns(
        rewards=shaped.rewards,
        valid=shaped.valid,
        kl=kl,
        kl_coef=kl_coef,
        old=given.old,
        reference=given.reference,
        read=given.read,
        values=given.values,
        advantages=advantages,
        returns=found.returns,
        mask=mask,
        weights=weights,
        compared=inputs.lines,
        critic=estimator.needs == "values",
        gated=gated,
    )


def part_to_read(experience: Experience, shaped: Shaped, algorithm: AlgorithmConfig, seed: int) -> UpdatePart:
    """The tokens that the passes before the update read: all, unless the loss counts credited tokens only. Verdicts
    alone decide which these are, since the KL is then no part of the rewards."""
    if not algorithm.credited_only:
        return UpdatePart.whole(experience.batch)
    columns = advantage_columns(experience, Given.unread(shaped), algorithm, 0.0, seed)
    return UpdatePart.of(experience.batch, columns, algorithm)


def falls_back(experience: Experience, lines: LineCredit, algorithm: AlgorithmConfig) -> bool:
    """Whether the gate replaces line groups in this step: the locator finds too few of the first wrong lines that
    execution finds (``algorithm.locator_min_hit``). Wrong locations cost line groups more than they cost the gate."""
    if not algorithm.locator_min_hit or algorithm.estimator != "line_group" or experience.lines is None:
        return False
    verdicts = experience.verdicts
    failed = verdicts.valid & ~verdicts.ok
    hits = hit_metrics(experience.batch, lines.wrong, experience.lines.wrong, failed)
    return "locator/hit" in hits and hits["locator/hit"] < algorithm.locator_min_hit


def line_credit(experience: Experience, ok: np.ndarray, algorithm: AlgorithmConfig, seed: int) -> LineCredit:
    """The lines of the samples, with the first wrong ones by the configured locator and the states by execution.

    ``ok`` says which samples count as passing. One that passes its tests and counts as failed for being cut off has no
    wrong line: where it fails is unknown.
    """
    batch, verdicts, executed = experience.batch, experience.verdicts, experience.lines
    inputs = LocatorInputs(
        batch,
        verdicts,
        line_scores=experience.scores.line_scores,
        executed=executed.wrong if executed is not None else None,
        rng=np.random.default_rng(seed),
    )
    estimator, locator = ESTIMATORS.find(algorithm.estimator), LOCATORS.find(algorithm.locator)
    located = estimator.needs == "lines"
    found = locator(inputs, algorithm.locator_params) if located else np.full(len(batch), UNKNOWN)
    return LineCredit(
        offsets=batch.line_offsets,
        ends=batch.global_line_ends,
        counted=~batch.line_neutral if executed is None else ~(batch.line_neutral | executed.idle(batch.line_offsets)),
        wrong=np.where(verdicts.ok & ~ok, UNKNOWN, found),
        ok=ok,
        proven=executed.proven if executed is not None and locator.needs == "execution" else None,
        states=executed.states if executed is not None else None,
        values=experience.values,
    )
