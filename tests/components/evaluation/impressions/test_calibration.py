"""The calibration error by its definition, and what it is for probabilities that are right."""

from __future__ import annotations

import numpy as np
import pytest

from components.evaluation.impressions.calibration import Reliability, calibration
from components.evaluation.impressions.metrics import Judged


def test_bins_of_equal_size_by_hand() -> None:
    probabilities = np.array([0.9, 0.1, 0.3, 0.7, 0.2])
    labels = np.array([1, 0, 1, 1, 0], dtype=np.int8)
    bins = Reliability.of(labels, probabilities, num_bins=2)
    assert bins.sizes.tolist() == [3, 2]
    assert bins.predicted == pytest.approx([0.2, 0.8])
    assert bins.observed == pytest.approx([1 / 3, 1.0])
    assert bins.error == pytest.approx((3 * (1 / 3 - 0.2) + 2 * 0.2) / 5)
    assert Reliability.of(labels, probabilities).sizes.tolist() == [1] * 5


def test_right_probabilities_have_the_error_by_chance_and_wrong_ones_their_distance() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.beta(2, 8, 20_000)
    errors, by_chance = [], []
    for _ in range(40):
        bins = Reliability.of((rng.random(20_000) < probabilities).astype(np.int8), probabilities)
        errors.append(bins.error)
        by_chance.append(bins.error_by_chance)
    assert np.mean(errors) == pytest.approx(np.mean(by_chance), rel=0.1)
    off = Reliability.of((rng.random(20_000) < probabilities + 0.1).astype(np.int8), probabilities)
    assert off.error == pytest.approx(0.1, abs=0.01)


def test_every_objective_with_a_positive_has_its_bins() -> None:
    rng = np.random.default_rng(1)
    probabilities = rng.random((600, 2))
    labels = np.stack([rng.random(600) < probabilities[:, 0], np.zeros(600)], axis=1).astype(np.int8)
    users, none = np.arange(600), np.full(600, -1, dtype=np.int32)
    judged = Judged(users, users, labels[:, 0], labels, probabilities[:, 0], probabilities, none, np.full(600, np.nan))
    content = calibration(judged, ("click", "convert"))
    assert list(content) == ["click"]
    assert content["click"]["positives"] == labels[:, 0].sum()
    predicted, observed, sizes = np.array(content["click"]["bins"]).T
    assert sizes.sum() == content["click"]["impressions"] == 600
    assert np.average(np.abs(predicted - observed), weights=sizes) == pytest.approx(content["click"]["ece"])
    assert (np.diff(predicted) > 0).all()
