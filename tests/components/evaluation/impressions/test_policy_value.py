"""The true value of another policy lies in the interval, about as often as the interval says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from components.evaluation.impressions.policy_value import estimate_value
from components.evaluation.impressions.positions import estimate_positions
from components.marketplace.config import config_for
from components.marketplace.dataset.log import SURFACES, Simulation
from components.marketplace.world.world import SURFACE_WEIGHT, World, sigmoid
from tests.components.evaluation.impressions.slates import EXAMINATION, draw_slates, slates_of

SEEDS = 100


def test_about_95_of_100_intervals_hold_the_true_value() -> None:
    inside, errors = np.zeros(2), []
    for seed in range(SEEDS):
        shown = draw_slates(seed)
        value = estimate_value(shown.slates, shown.scores, shown.model, EXAMINATION, resamples=400, seed=seed)
        assert value is not None
        both = (value.snips, value.doubly_robust)
        inside += [each.low <= shown.value <= each.high for each in both]
        errors.append([each.mean - shown.value for each in both])
        assert value.kept < value.impressions
        assert value.effective <= value.kept
    assert (inside >= 90).all()
    assert (inside <= 99).all()
    means, deviations = np.mean(errors, axis=0), np.std(errors, axis=0)
    assert (np.abs(means) < 3 * deviations / np.sqrt(SEEDS)).all()
    assert deviations[1] < deviations[0]  # the model explains a part of the clicks


class WatchedWorld(World):
    """A world that keeps the wish behind every shown item."""

    def __init__(self, seed: int) -> None:
        super().__init__(config_for("tiny", seed=seed, num_impressions=100_000))
        self.wishes: dict[tuple[int, int, int], float] = {}

    def _wish(self, users, items, times):
        wish = super()._wish(users, items, times)
        keys = zip(users.tolist(), items.tolist(), np.rint(times * 1e6).astype(int).tolist(), strict=True)
        self.wishes.update(zip(keys, wish.tolist(), strict=True))
        return wish


def test_the_true_value_in_the_marketplace_lies_in_both_intervals() -> None:
    """Slates ordered by the appeal of their items, which the world itself values exactly."""
    world = WatchedWorld(seed=1)
    log = Simulation(world).run()
    slates, shown = slates_of(log), log.impressions
    keys = zip(shown["user"].tolist(), shown["item"].tolist(), shown["time"].tolist(), strict=True)
    weights = np.array([SURFACE_WEIGHT.get(surface, 0.0) for surface in SURFACES])[shown["surface"]]
    clicking = sigmoid(np.array([world.wishes[key] for key in keys]) + weights)
    scores = world.market.catalogue.appeal[shown["item"]].astype(np.float64)
    curve = estimate_positions(slates)
    assert curve is not None
    value = estimate_value(slates, scores, np.full(len(scores), slates.clicks.mean()), curve.examination)
    assert value is not None
    truth = _value(slates.blocks(), scores, clicking)
    logged = _value(slates.blocks(), -slates.positions.astype(np.float64), clicking)
    for estimate in (value.snips, value.doubly_robust):
        assert estimate.low <= truth <= estimate.high
    assert value.logged.low <= logged <= value.logged.high
    assert abs(truth / logged - 1) > 0.01


def _value(
    blocks: list[npt.NDArray[np.int64]], scores: npt.NDArray[np.float64], clicking: npt.NDArray[np.float64]
) -> float:
    clicks = []
    for places in blocks:
        rank = np.argsort(np.argsort(-scores[places], axis=1, kind="stable"), axis=1)
        clicks.append((World.examination(places.shape[1])[rank] * clicking[places]).sum(axis=1))
    return float(np.concatenate(clicks).mean())


def test_without_evidence_there_is_no_estimate() -> None:
    shown = draw_slates(0, num_users=10)
    assert estimate_value(shown.slates, shown.scores, shown.model) is None
    unknown = replace(shown.slates, propensities=np.full(len(shown.scores), np.nan))
    assert estimate_value(unknown, shown.scores, shown.model) is None
