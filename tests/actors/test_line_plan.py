import pytest

from prl_ray.actors.critic_plan import CriticPlan
from prl_ray.actors.line_plan import LinePlan
from prl_ray.config import AlgorithmConfig, RewardConfig

OUTCOME = RewardConfig(name="outcome")


@pytest.mark.parametrize(
    ("estimator", "locator", "plan"),
    [
        ("rloo", "exact", LinePlan(credit=False, prm=False, executed=0.0, failing=False)),
        ("gate", "exact", LinePlan(credit=True, prm=False, executed=1.0, failing=True)),
        ("line_group", "surprise", LinePlan(credit=True, prm=False, executed=0.1, failing=True)),
        ("gate", "surprise_prm", LinePlan(credit=True, prm=True, executed=0.1, failing=True)),
        # states come from execution whatever the locator is
        ("state_anchor", "prm", LinePlan(credit=True, prm=False, executed=1.0, failing=False)),
    ],
)
def test_what_a_configuration_needs(estimator: str, locator: str, plan: LinePlan) -> None:
    algorithm = AlgorithmConfig(estimator=estimator, locator=locator, locator_check=0.1)
    assert LinePlan.of(algorithm) == plan
    assert CriticPlan.of(algorithm, OUTCOME).needs_prm == plan.prm


def test_lines_compared_at_equal_states_are_all_executed() -> None:
    algorithm = AlgorithmConfig(estimator="gate", locator="surprise", estimator_params={"places": "state"})
    assert LinePlan.of(algorithm).executed == 1.0
