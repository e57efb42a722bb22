import pytest

from prl_ray.actors.critic_plan import CriticPlan
from prl_ray.actors.line_plan import LinePlan
from prl_ray.config import AlgorithmConfig, Config, PrmConfig, RewardConfig

OUTCOME = RewardConfig(name="outcome")


@pytest.mark.parametrize(
    ("estimator", "locator", "plan"),
    [
        ("rloo", "exact", LinePlan(credit=False, prm=False, executed=0.0, failing=False)),
        ("gate", "exact", LinePlan(credit=True, prm=False, executed=1.0, failing=True, references=True)),
        ("line_group", "surprise", LinePlan(credit=True, prm=False, executed=0.1, failing=True)),
        ("gate", "surprise_prm", LinePlan(credit=True, prm=True, executed=0.1, failing=True)),
        ("vine", "exact", LinePlan(credit=True, prm=False, executed=0.0, failing=True, completions=3)),
        # states come from execution whatever the locator is
        ("state_anchor", "prm", LinePlan(credit=True, prm=False, executed=1.0, failing=False)),
    ],
)
def test_what_a_configuration_needs(estimator: str, locator: str, plan: LinePlan) -> None:
    algorithm = AlgorithmConfig(estimator=estimator, locator=locator, locator_check=0.1)
    config = Config(algorithm=algorithm, reward=OUTCOME)
    assert LinePlan.of(config) == plan
    assert CriticPlan.of(config).needs_prm == plan.prm


def test_lines_compared_at_equal_states_are_all_executed() -> None:
    algorithm = AlgorithmConfig(estimator="gate", locator="surprise", estimator_params={"places": "state"})
    assert LinePlan.of(Config(algorithm=algorithm)).executed == 1.0


def test_a_prm_that_is_trained_online_needs_executed_lines_whatever_the_estimator() -> None:
    gae = Config(algorithm=AlgorithmConfig(estimator="gae", locator_check=0.3), reward=RewardConfig(name="process"))
    assert LinePlan.of(gae).executed == 0
    gae.prm = PrmConfig(online=True)
    assert LinePlan.of(gae).executed == 0.3
    gae.algorithm.estimator = "gate"
    assert LinePlan.of(gae).executed == 1.0
