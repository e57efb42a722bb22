"""Settings that are no numbers, or under which nothing would be learnt, are refused with a sentence that says why."""

from __future__ import annotations

import pytest
import torch

from prl_ray import compose
from prl_ray.actors.critic import make_critic
from prl_ray.actors.critic_plan import CriticPlan
from prl_ray.actors.meeting import RankInfo
from prl_ray.config import AlgorithmConfig, Config, ModelConfig, RewardConfig, known_keys, validate
from prl_ray.errors import ConfigError
from prl_ray.ppo.advantages import ESTIMATORS, AdvantageInputs, Estimate, estimator


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "key",
    ["algorithm.learning_rate", "algorithm.gamma", "reward.alpha", "reward.passed", "sft.weight_decay",
     "loop.temperature", "teacher.weights.missing_slice", "sandbox.wall_s"],
)  # fmt: skip
def test_a_setting_is_a_finite_number(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"{key}={value}.*finite"):
        compose([f"{key}={value}"])


def test_every_number_of_the_configuration_is_checked() -> None:
    floats = [key for key in known_keys() if isinstance(_default(key), float)]
    assert len(floats) > 30
    for key in floats:
        section, *rest = key.split(".")
        settings: object = float("nan")
        for name in reversed(rest):
            settings = {name: settings}
        with pytest.raises(ConfigError, match=rf"{key}=nan"):
            validate({section: settings})


def _default(key: str) -> object:
    value: object = Config()
    for part in key.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["algorithm.kl_control=adaptive", "algorithm.kl_target=0"], "algorithm.kl_target=0"),
        (
            ["algorithm=ppo", "algorithm.critic_warmup=20", "loop.steps=20"],
            "critic_warmup=20 of loop.steps=20.*dry_run",
        ),
        (["algorithm.learning_rate=0"], "algorithm.learning_rate=0: PPO would learn nothing.*dry_run"),
        (["sft.learning_rate=0"], "sft.learning_rate=0"),
        (["prm.learning_rate=0"], "prm.learning_rate=0"),
        (["algorithm.critic_learning_rate=0"], "algorithm.critic_learning_rate=0"),
        (["algorithm.kl_in=loss"], "would have no effect"),
        (["algorithm.gamma=0"], "algorithm.gamma=0"),
        (["reward=outcome", "reward.alpha=0", "reward.passed=-0.3"], "reward.passed=-0.3 must be above"),
        (["algorithm.estimator_params.a=[1,[nan]]"], r"estimator_params.a\[1\]\[0\]=nan"),
        (["teacher.weights.bool_swap=inf"], "teacher.weights.bool_swap=inf"),
        (["problems.params.a={b:[-inf]}"], r"problems.params.a.b\[0\]=-inf"),
    ],
)
def test_what_would_train_nothing_is_refused(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        compose(overrides)


def test_a_dry_run_may_be_asked_for() -> None:
    assert compose(["algorithm.learning_rate=0", "algorithm.dry_run=true"]).algorithm.learning_rate == 0
    assert compose(["algorithm.critic_warmup=20", "algorithm.estimator=rloo"]).algorithm.critic_warmup == 20
    assert compose(["loop.steps=0"]).loop.steps == 0


@estimator(needs="values")
def own_estimator(inputs: AdvantageInputs) -> Estimate:
    return ESTIMATORS["gae"](inputs)


def test_an_estimator_of_your_own_that_needs_values_has_a_critic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: only ``gae`` had one; others read values that were all 0."""
    monkeypatch.setattr("prl_ray.actors.critic.Engine", lambda module, settings, world: module)
    for name, there in (("gae", True), (f"{__name__}:own_estimator", True), ("rloo", False)):
        algorithm = AlgorithmConfig(estimator=name)
        config = Config(algorithm=algorithm, reward=RewardConfig(name="outcome"))
        assert CriticPlan.of(config).exists is there
        assert (make_critic(None, 8, algorithm, ModelConfig(), torch.float32, RankInfo(), 0) is not None) is there
