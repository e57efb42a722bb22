import numpy as np
import pytest

from prl_ray.credit.locators import LOCATORS
from prl_ray.credit.rule import fit_rule


def test_a_rule_is_found_again() -> None:
    """Labels drawn by a known rule: the fit is near it."""
    rng = np.random.default_rng(0)
    least, odds = -rng.exponential(1.0, 20_000), rng.normal(0.5, 1.5, 20_000)
    p = 1 / (1 + np.exp(-odds))
    chance = 1 / (1 + np.exp(-(1.0 - 4.0 * np.exp(least) - 0.7 * odds)))
    found = fit_rule(least, p, rng.random(20_000) >= chance)
    assert found == pytest.approx({"bias": 1.0, "by_probability": -4.0, "by_score": -0.7}, abs=0.12)
    assert LOCATORS["surprise_prm"].check_params(found) == found


def test_one_useless_input_by_hand() -> None:
    """With equal inputs throughout, the bias is the log-odds of the wrong lines: log(1/3) for one in four."""
    found = fit_rule(np.zeros(4), np.full(4, 0.5), np.array([True, True, True, False]))
    assert found == pytest.approx({"bias": np.log(1 / 3), "by_probability": 0.0, "by_score": 0.0}, abs=1e-6)


def test_lines_that_one_input_tells_apart_have_a_finite_rule() -> None:
    found = fit_rule(np.array([-0.1, -0.1, -3.0, -3.0]), np.full(4, 0.5), np.array([True, True, False, False]))
    assert found["by_probability"] < -1 and abs(found["by_score"]) < 1e-6
    with pytest.raises(ValueError, match="both right and wrong lines"):
        fit_rule(np.zeros(2), np.zeros(2), np.ones(2, dtype=bool))
