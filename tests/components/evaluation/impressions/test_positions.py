"""The position curve of simulated logs against the truth of their world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from components.evaluation.impressions.positions import FEWEST_CLICKS, estimate_positions
from components.marketplace.config import config_for
from components.marketplace.dataset.log import Simulation
from components.marketplace.world.world import World
from tests.components.evaluation.impressions.slates import EXAMINATION, draw_slates, slates_of


def test_the_curve_of_the_marketplace_is_within_ten_percent_of_its_truth() -> None:
    world = World(config_for("tiny", seed=2, num_impressions=100_000))
    curve = estimate_positions(slates_of(Simulation(world).run()))
    assert curve is not None
    truth = World.examination(10)
    assert len(curve.examination) == 10
    assert np.abs(curve.examination / truth - 1).max() < 0.1
    assert ((curve.low <= truth) & (truth <= curve.high)).sum() >= 8
    # Click rates alone are wrong, because the policy shows better items first.
    assert np.abs(curve.click_rates / curve.click_rates[0] / truth - 1).max() > 0.25
    assert (curve.effective < curve.impressions).all()


def test_slates_of_several_lengths_share_one_curve() -> None:
    """The shorter slates hold items that are clicked less often."""
    slates = draw_slates(3, num_users=600).slates
    short = slates.slates % 3 == 0
    kept = ~short | (slates.positions < 3)
    lost = short & (np.random.default_rng(0).random(len(kept)) < 0.5)
    fewer = np.where(lost, 0, slates.clicks).astype(np.int8)
    columns = {name: getattr(slates, name)[kept] for name in ("users", "slates", "positions", "propensities")}
    curve = estimate_positions(replace(slates, **columns, clicks=fewer[kept]))
    assert curve is not None
    assert ((curve.low <= EXAMINATION) & (curve.high >= EXAMINATION)).sum() >= 5


def test_positions_with_few_clicks_end_the_curve() -> None:
    slates = draw_slates(0).slates
    rare = np.where(slates.positions >= 3, 0, slates.clicks).astype(np.int8)
    curve = estimate_positions(replace(slates, clicks=rare))
    assert curve is not None
    assert len(curve.examination) == 3
    assert (curve.clicks >= FEWEST_CLICKS).all()
    assert estimate_positions(replace(slates, clicks=np.zeros_like(rare))) is None
    assert estimate_positions(replace(slates, propensities=np.full(len(rare), np.nan))) is None
