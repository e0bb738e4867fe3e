"""Slates drawn in turn from a known policy, with users who examine positions by a known curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.evaluation.impressions.slates import LoggedSlates
from components.marketplace.dataset.log import Log
from components.marketplace.world.events import CLICK

Floats = npt.NDArray[np.float64]
SLATE, CATALOGUE, VISITS = 6, 40, 8
EXAMINATION: Floats = np.power(1.0 + np.arange(SLATE), -0.6)


@dataclass(frozen=True)
class Shown:
    """Logged slates, another policy that orders them, and the true value of that policy.

    Attributes:
        slates: What the log holds.
        scores: Scores of the other policy [n].
        model: A rough model of the click probabilities [n].
        value: Expected clicks a slate if the slates are ordered by score.
    """

    slates: LoggedSlates
    scores: Floats
    model: Floats
    value: float


def draw_slates(seed: int, num_users: int = 150) -> Shown:
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(num_users), VISITS)
    appeal, taste = rng.normal(-1.2, 0.8, CATALOGUE), rng.normal(0, 0.8, (num_users, CATALOGUE))
    wish = appeal + taste[users]
    weights = np.exp(wish + rng.normal(0, 0.8, wish.shape))
    weights /= weights.sum(axis=1, keepdims=True)
    items = np.argsort(rng.standard_exponential(wish.shape) / weights, axis=1)[:, :SLATE]
    own = np.take_along_axis(weights, items, axis=1)
    propensities = own / (1 - (np.cumsum(own, axis=1) - own))
    clicking = np.take_along_axis(1 / (1 + np.exp(-wish)), items, axis=1)
    clicks = rng.random(items.shape) < EXAMINATION * clicking
    scores = appeal[items] + rng.normal(0, 0.3, items.shape)
    rank = np.argsort(np.argsort(-scores, axis=1), axis=1)
    num = len(users)
    slates = LoggedSlates(
        users=np.repeat(users, SLATE),
        slates=np.repeat(np.arange(num), SLATE),
        positions=np.tile(np.arange(SLATE, dtype=np.int32), num),
        propensities=propensities.ravel(),
        clicks=clicks.astype(np.int8).ravel(),
    )
    rough = np.clip(clicking * EXAMINATION.mean() * rng.uniform(0.6, 1.4, items.shape), 0, 1)
    return Shown(slates, scores.ravel(), rough.ravel(), float((EXAMINATION[rank] * clicking).sum(axis=1).mean()))


def slates_of(log: Log) -> LoggedSlates:
    """The slates of a marketplace's log."""
    shown, events = log.impressions, log.interactions
    width = int(max(shown["item"].max(), events["item"].max())) + 1
    led = (events["kind"] == CLICK) & (events["request"] >= 0)
    clicked = np.isin(shown["request"] * width + shown["item"], (events["request"] * width + events["item"])[led])
    return LoggedSlates(
        users=shown["user"].astype(np.int64),
        slates=shown["request"],
        positions=shown["position"],
        propensities=shown["propensity"].astype(np.float64),
        clicks=clicked.astype(np.int8),
    )
