"""Advantages on flat ragged columns: GAE with a critic, RLOO and GRPO without one.

``ESTIMATORS`` is the registry: a new estimator is a function from ``AdvantageInputs`` to ``Estimate`` and one line in
the registry, or its import path in ``algorithm.estimator``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from prl_ray.errors import ConfigError
from prl_ray.plugins import Registry, checked_params
from prl_ray.ppo.line_credit import LineCredit

IntArray = NDArray[np.integer]
FloatArray = NDArray[np.floating]
BoolArray = NDArray[np.bool_]
Need = Literal["rewards", "values", "lines", "states", "completions"]
BY_LINE: tuple[Need, ...] = ("lines", "states", "completions")
"""Needs of the estimators that give credit to lines."""

ROUNDING = 1e-6
"""Differences of totals below this share of a group's rewards are rounding. A scale of the whole batch would otherwise
make full advantages of them if no group differs in more."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The result of an estimator."""

    advantages: FloatArray
    """float32 ``[tokens]``."""
    returns: FloatArray
    """float32 ``[tokens]``: the critic's targets."""
    counted: BoolArray | None = None
    """bool ``[tokens]``: the tokens that losses may count; None for all that the reward counts."""


@dataclass(frozen=True, slots=True)
class AdvantageInputs:
    """The inputs of an estimator. Axes: tokens (flat, of all responses), samples and lines."""

    rewards: FloatArray
    """float32 ``[tokens]``, KL penalty included."""
    offsets: IntArray
    """int64 ``[samples + 1]`` into the token axis."""
    prompt_ids: IntArray
    """int64 ``[samples]``: samples of one prompt form a group."""
    values: FloatArray | None = None
    """float32 ``[tokens]``: the critic's value of the state *before* each token; read by ``gae`` only."""
    valid: BoolArray | None = None
    """bool ``[samples]``: False excludes a sample from every baseline and gives it advantage 0."""
    lines: LineCredit | None = None
    """The lines of the samples and the first wrong one of each; for estimators that need ``lines``."""
    penalty: FloatArray | None = None
    """float32 ``[tokens]``: the KL penalty that ``rewards`` include, before it was subtracted; None without one."""
    gamma: float = 1.0
    lam: float = 1.0


def gae(
    rewards: FloatArray,
    values: FloatArray,
    offsets: IntArray,
    gamma: float,
    lam: float,
) -> Estimate:
    """Generalised advantage estimation (Schulman et al. 2016, eq. 16) over every sample of a ragged batch.

    ``rewards`` and ``values`` are ``[tokens]``; ``values[t]`` is the value of the state before token ``t``. After a
    sample's last token the value is 0. The returns are ``advantages + values``.
    """
    _check_columns(rewards, values, offsets)
    rewards64, values64 = rewards.astype(np.float64), values.astype(np.float64)
    starts, ends = offsets[:-1], offsets[1:]
    advantages = np.zeros(len(rewards64))
    following = np.zeros(len(starts))
    running = np.zeros(len(starts))
    # Each iteration goes one step back in time in all samples at once, so the longest response sets their number.
    active = np.flatnonzero(ends > starts)
    step = 1
    while len(active):
        at = ends[active] - step
        delta = rewards64[at] + gamma * following[active] - values64[at]
        running[active] = delta + gamma * lam * running[active]
        following[active] = values64[at]
        advantages[at] = running[active]
        step += 1
        active = active[ends[active] - step >= starts[active]]
    return Estimate(advantages.astype(np.float32), (advantages + values64).astype(np.float32))


def reward_to_go(rewards: FloatArray, offsets: IntArray, gamma: float = 1.0) -> FloatArray:
    """Discounted sum of the rewards from each token to the end of its sample, float32 ``[tokens]``."""
    return gae(rewards, np.zeros_like(rewards), offsets, gamma, 1.0).advantages


def sample_totals(columns: FloatArray, offsets: IntArray) -> NDArray[np.float64]:
    """Sum of a token column over each sample, float64 ``[samples]``; an empty sample sums to 0."""
    cumulative = np.concatenate([[0.0], np.cumsum(columns, dtype=np.float64)])
    totals: NDArray[np.float64] = cumulative[offsets[1:]] - cumulative[offsets[:-1]]
    return totals


def _gae(inputs: AdvantageInputs) -> Estimate:
    if inputs.values is None:
        raise ConfigError(
            "the advantage estimator 'gae' needs a critic's values; use 'rloo' or 'grpo' without a critic"
        )
    found = gae(inputs.rewards, inputs.values, inputs.offsets, inputs.gamma, inputs.lam)
    if inputs.valid is None:
        return found
    valid = _on_tokens(inputs.valid, inputs.offsets)
    return replace(found, advantages=np.where(valid, found.advantages, np.float32(0)))


def less_group_mean(inputs: AdvantageInputs) -> FloatArray:
    """Rewards minus the mean total of the prompt's *other* samples, subtracted at each sample's last token.

    A baseline that does not depend on the sample itself does not change the expected policy gradient (Kool et al.
    2019). It removes the difficulty of the problem, which a new critic does not know yet. A single sample keeps its
    rewards. float32 ``[tokens]``.
    """
    g = _groups(inputs)
    others = g.count[g.group] - g.valid
    own = np.where(g.valid, g.totals, 0.0)
    baseline = np.where(others > 0, (g.total[g.group] - own) / np.maximum(others, 1), 0.0)
    rewards = inputs.rewards.astype(np.float32)
    some = np.diff(inputs.offsets) > 0
    rewards[inputs.offsets[1:][some] - 1] -= baseline[some].astype(np.float32)
    return rewards


def totals_differ(inputs: AdvantageInputs) -> BoolArray:
    """bool ``[samples]``: whether the totals of the prompt's valid samples differ by more than rounding."""
    g = _groups(inputs)
    return g.differ(g.totals)


def leave_one_out(inputs: AdvantageInputs) -> NDArray[np.float64]:
    """A sample's total minus the mean total of the prompt's *other* samples, float64 ``[samples]``."""
    g = _groups(inputs)
    others = g.count[g.group] - 1
    baseline = np.where(others > 0, (g.total[g.group] - g.totals) / np.maximum(others, 1), g.totals)
    return np.where(g.valid & g.differ(g.totals), g.totals - baseline, 0.0)


def _rloo(inputs: AdvantageInputs) -> Estimate:
    """``leave_one_out`` on every token of the sample (Ahmadian et al. 2024)."""
    return _spread(inputs, leave_one_out(inputs))


def _grpo(inputs: AdvantageInputs) -> Estimate:
    """A sample's total minus its group's mean, divided by the group's standard deviation (Shao et al. 2024).

    The KL penalty in the rewards is centred but not divided: it varies a little in every group, and in a group without
    other differences a division would scale it up to the size of a passed test.
    """
    g = _groups(inputs)
    penalty = np.zeros(len(g.totals)) if inputs.penalty is None else sample_totals(inputs.penalty, inputs.offsets)
    centred = _centred(g, g.totals + penalty)
    variance = np.bincount(g.group, centred**2, len(g.count)) / np.maximum(g.count - 1, 1)
    return _spread(inputs, centred / (np.sqrt(variance)[g.group] + 1e-6) - _centred(g, penalty))


def _centred(g: _Groups, totals: FloatArray) -> NDArray[np.float64]:
    """Totals of valid samples minus their group's mean, float64 ``[samples]``; 0 for the others."""
    mean = np.bincount(g.group, np.where(g.valid, totals, 0.0), len(g.count)) / np.maximum(g.count, 1)
    return np.where(g.valid & g.differ(totals), totals - mean[g.group], 0.0)


@dataclass(frozen=True, slots=True)
class Estimator:
    """A named advantage estimator, and the inputs that it needs."""

    name: str
    function: Callable[..., Estimate]
    """From ``AdvantageInputs``; its keyword-only arguments are its parameters (``algorithm.estimator_params``).
    """
    needs: Need = "rewards"
    """Inputs needed in addition to rewards: nothing, a critic's values, located lines, states after lines, or
    completions of the first lines."""
    groups: bool = False
    """True if samples of one prompt are compared: there must be at least two of each."""
    sparse: bool = False
    """True if an advantage of 0 means that there is nothing to learn: whitening then scales without shifting."""
    failing: bool = False
    """True if groups without a pass contribute: ``loop.filter_groups`` then keeps them."""

    def check_params(self, given: Mapping[str, object]) -> dict[str, object]:
        """``algorithm.estimator_params`` as keyword arguments. Raises ``ConfigError`` if they are invalid."""
        return checked_params(self.function, given, "algorithm.estimator_params")

    def __call__(self, inputs: AdvantageInputs, params: Mapping[str, object] | None = None) -> Estimate:
        """Advantages and returns. Raises ``ConfigError`` if a column that it needs is missing."""
        return self.function(inputs, **self.check_params(params or {}))


def estimator(
    *, needs: Need = "rewards", groups: bool = False, sparse: bool = False, failing: bool = False
) -> Callable[[Callable[..., Estimate]], Estimator]:
    """Decorator that makes a function of ``AdvantageInputs`` an :class:`Estimator`, which a configuration selects by
    its import path or an entry point."""

    def decorate(function: Callable[..., Estimate]) -> Estimator:
        return Estimator(function.__name__, function, needs, groups, sparse, failing)

    return decorate


ESTIMATORS: Registry[Estimator] = Registry(
    "advantage estimator",
    "prl_ray.estimators",
    {
        "gae": Estimator("gae", _gae, needs="values"),
        "rloo": Estimator("rloo", _rloo, groups=True, sparse=True),
        "grpo": Estimator("grpo", _grpo, groups=True, sparse=True),
        "line_group": "prl_ray.ppo.line_estimators:line_group",
        "gate": "prl_ray.ppo.line_estimators:gate",
        "line_share": "prl_ray.ppo.line_estimators:line_share",
        "state_anchor": "prl_ray.ppo.line_estimators:state_anchor",
        "vine": "prl_ray.ppo.line_estimators:vine",
    },
    accepts=lambda found: isinstance(found, Estimator),
    how="decorate the function with @prl_ray.ppo.advantages.estimator(needs=...)",
)
"""Name -> estimator. RLOO and GRPO give every token of a sample the same advantage; a group of one gets 0."""


def explained_variance(values: FloatArray, returns: FloatArray) -> float:
    """``1 - Var(returns - values) / Var(returns)``; 0 if the returns do not vary. 1 is a perfect critic."""
    returns64 = returns.astype(np.float64)
    spread = float(returns64.var()) if returns64.size else 0.0
    return 0.0 if spread == 0 else 1.0 - float((returns64 - values).var()) / spread


@dataclass(frozen=True, slots=True)
class _Groups:
    """Reward totals by sample and by prompt."""

    totals: FloatArray
    """float64 ``[samples]``."""
    size: FloatArray
    """float64 ``[samples]``: sum of the absolute rewards."""
    group: IntArray
    """int64 ``[samples]``: index into the two columns below."""
    valid: BoolArray
    """bool ``[samples]``."""
    count: FloatArray
    """float64 ``[groups]``: valid samples."""
    total: FloatArray
    """float64 ``[groups]``: sum of the valid samples' totals."""

    def differ(self, totals: FloatArray) -> BoolArray:
        """bool ``[samples]``: whether the valid samples of its group have totals that differ by more than rounding:
        float32 rewards that are paid at other lines have equal sums only up to their last digits."""
        low, high = np.full(len(self.count), np.inf), np.full(len(self.count), -np.inf)
        size = np.zeros(len(self.count))
        np.minimum.at(low, self.group[self.valid], totals[self.valid])
        np.maximum.at(high, self.group[self.valid], totals[self.valid])
        np.maximum.at(size, self.group[self.valid], self.size[self.valid])
        differ: BoolArray = (low + ROUNDING * size < high)[self.group]
        return differ


def _groups(inputs: AdvantageInputs) -> _Groups:
    totals = sample_totals(inputs.rewards, inputs.offsets)
    valid = np.ones(len(totals), dtype=np.bool_) if inputs.valid is None else inputs.valid
    _, group = np.unique(inputs.prompt_ids, return_inverse=True)
    size = int(group.max(initial=-1)) + 1
    count = np.bincount(group, valid.astype(np.float64), size).astype(np.float64)
    total = np.bincount(group, np.where(valid, totals, 0.0), size).astype(np.float64)
    return _Groups(totals, sample_totals(np.abs(inputs.rewards), inputs.offsets), group, valid, count, total)


def _spread(inputs: AdvantageInputs, per_sample: NDArray[np.float64]) -> Estimate:
    advantages = _on_tokens(per_sample, inputs.offsets).astype(np.float32)
    return Estimate(advantages, reward_to_go(inputs.rewards, inputs.offsets, inputs.gamma))


def _on_tokens(per_sample: NDArray[np.generic], offsets: IntArray) -> NDArray[np.generic]:
    return np.repeat(per_sample, np.diff(offsets))


def _check_columns(rewards: FloatArray, values: FloatArray, offsets: IntArray) -> None:
    if not (len(rewards) == len(values) == offsets[-1]):
        raise ValueError(f"{len(rewards)} rewards, {len(values)} values, but offsets end at {offsets[-1]}")
