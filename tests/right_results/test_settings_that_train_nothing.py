"""Settings that are no numbers, or under which nothing would be learnt, are refused with a sentence that says why."""

from __future__ import annotations

import pytest

from prl_ray import compose
from prl_ray.config import Config, known_keys, validate
from prl_ray.errors import ConfigError


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
        (["algorithm.critic_warmup=20", "loop.steps=20"], "critic_warmup=20 of loop.steps=20.*dry_run"),
        (["algorithm.learning_rate=0"], "algorithm.learning_rate=0: PPO would learn nothing.*dry_run"),
        (["sft.learning_rate=0"], "sft.learning_rate=0"),
        (["prm.learning_rate=0"], "prm.learning_rate=0"),
        (["algorithm.critic_learning_rate=0"], "algorithm.critic_learning_rate=0"),
        (["algorithm.kl_in=loss"], "would have no effect"),
    ],
)
def test_what_would_train_nothing_is_refused(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        compose(overrides)


def test_a_dry_run_may_be_asked_for() -> None:
    assert compose(["algorithm.learning_rate=0", "algorithm.dry_run=true"]).algorithm.learning_rate == 0
    assert compose(["algorithm.critic_warmup=20", "algorithm.estimator=rloo"]).algorithm.critic_warmup == 20
    assert compose(["loop.steps=0"]).loop.steps == 0
