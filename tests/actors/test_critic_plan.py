"""The critic and the reward models of every combination of estimator, critic, trunk and shaping."""

import pytest

from prl_ray.actors.critic_plan import CriticPlan
from prl_ray.config import AlgorithmConfig, Config, RewardConfig


@pytest.mark.parametrize(
    ("estimator", "critic", "init", "reward", "expected"),
    [
        # (form, trunk, reward models, features, the scorer's own trunk, the full critic's trunk, needs a scorer)
        ("gae", "head", "prm", "process_mean", ("head", "prm", ("prm",), True, None, None, True)),
        ("gae", "head", "prm", "outcome", ("head", "prm", ("prm",), True, None, None, True)),
        ("gae", "head", "sft", "outcome", ("head", "sft", (), True, "sft", None, True)),
        ("gae", "head", "sft", "process", ("head", "sft", ("prm",), True, "sft", None, True)),
        ("gae", "full", "prm", "outcome", ("full", "prm", ("prm",), False, None, "prm", True)),
        ("gae", "full", "sft", "outcome", ("full", "sft", (), False, None, "sft", False)),
        ("gae", "head", "prm", "orm", ("head", "prm", ("prm", "orm"), True, None, None, True)),
        ("rloo", "head", "prm", "outcome", ("none", None, (), False, None, None, False)),
        ("rloo", "full", "prm", "located", ("none", None, ("prm",), False, None, None, True)),
        ("grpo", "head", "sft", "orm", ("none", None, ("orm",), False, None, None, True)),
    ],
)
def test_critic_plan(estimator: str, critic: str, init: str, reward: str, expected: tuple[object, ...]) -> None:
    algorithm = AlgorithmConfig(estimator=estimator, critic=critic, critic_init=init)
    plan = CriticPlan.of(Config(algorithm=algorithm, reward=RewardConfig(name=reward)))
    found = (plan.form, plan.trunk, plan.reward_models, plan.features)
    assert (*found, plan.scorer_trunk, plan.full_trunk, plan.needs_scorer) == expected
    assert plan.exists == (estimator == "gae") and plan.needs_prm == ("prm" in plan.reward_models)
