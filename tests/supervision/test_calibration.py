"""AUROC, calibration error and temperature, by hand and against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.supervision.calibration import auroc, calibration_error, cross_entropy, fit_temperature, sigmoid

pairs = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]), st.booleans()), min_size=1, max_size=30)


def test_auroc_by_hand() -> None:
    # positives 0.9, 0.4; negatives 0.4, 0.1: won, won, tied, won of four comparisons
    assert auroc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([1, 1, 0, 0])) == pytest.approx(3.5 / 4)
    assert auroc(np.array([3.0, 2.0, 1.0]), np.array([0.0, 1.0, 1.0])) == 0.0
    assert math.isnan(auroc(np.array([0.3, 0.4]), np.array([1, 1])))
    assert math.isnan(auroc(np.zeros(0), np.zeros(0)))


@given(pairs)
def test_auroc_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in rows])
    labels = np.array([float(label) for _, label in rows])
    won = [(p > n) + 0.5 * (p == n) for p in scores[labels == 1] for n in scores[labels == 0]]
    found = auroc(scores, labels)
    assert found == pytest.approx(np.mean(won)) if won else math.isnan(found)


def test_calibration_error_by_hand() -> None:
    # bin [0.2, 0.3): mean p 0.25, half right; bin [0.9, 1.0]: mean p 0.95, all right
    p = np.array([0.2, 0.3 - 1e-9, 0.9, 1.0])
    labels = np.array([1.0, 0.0, 1.0, 1.0])
    assert calibration_error(p, labels) == pytest.approx((2 * 0.25 + 2 * 0.05) / 4)
    assert calibration_error(np.array([0.0, 1.0]), np.array([0.0, 1.0])) == 0.0
    assert calibration_error(np.zeros(0), np.zeros(0)) == 0.0


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(true: float) -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, 40_000)
    labels = (generator.random(40_000) < sigmoid(logits / true)).astype(float)
    assert fit_temperature(logits, labels) == pytest.approx(true, rel=0.05)


def test_cross_entropy_by_hand() -> None:
    logits, labels = np.array([0.0, math.log(3)]), np.array([1.0, 0.0])
    assert cross_entropy(logits, labels) == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert cross_entropy(logits, labels, np.array([1.0, 3.0])) == pytest.approx((math.log(2) + 3 * math.log(4)) / 4)
    assert cross_entropy(logits[:0], labels[:0]) == 0.0


def test_two_logits_by_hand() -> None:
    # logit 2 is right three times of four: sigmoid(2 / T) = 3 / 4 where 2 / T = log 3
    logits = np.array([2.0, 2.0, 2.0, 2.0])
    assert fit_temperature(logits, np.array([1.0, 1.0, 1.0, 0.0])) == pytest.approx(2 / math.log(3), rel=1e-4)


def test_temperature_without_both_kinds_of_label_is_one() -> None:
    assert fit_temperature(np.array([1.0, 2.0]), np.array([1.0, 1.0])) == 1.0
    assert fit_temperature(np.zeros(0), np.zeros(0)) == 1.0


def test_the_sigmoid_does_not_overflow() -> None:
    assert sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]
