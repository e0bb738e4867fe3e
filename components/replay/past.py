"""A stage's artifacts as they would have been at earlier cuts: what rows of the past are scored with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from components.index.covisitation import CovisitationConfig, fit_neighbours
from components.index.popular import fit_popularity
from components.replay.events import Events
from components.replay.stage import Stage
from feature_repo.dataset.tables import PreparedTables
from inference.feature_store.historical import HistoricalFeatures
from inference.models.artifacts import Artifacts
from inference.models.neighbours import Neighbours

MOST_REFITS = 8  # of the neighbours over a span


def artifacts_as_of(
    tables: PreparedTables, stage: Stage, reader: HistoricalFeatures, start: float, end: float
) -> Callable[[float], Artifacts]:
    """The stage with what is cheap to renew as of a cut: catalogue, popularity, now and then neighbours.

    Served neighbours are a day old and hold the user's own earlier sessions; rows scored with neighbours of weeks ago
    would teach the ranker to distrust them, and neighbours that know what comes would make the past look easy.

    Args:
        tables: Clean prepared tables.
        stage: Its towers, index and half-lives are kept.
        reader: Gives the catalogue.
        start: Unix seconds; no earlier cut will be asked for.
        end: Unix seconds; nor one at or after it.
    """
    first = reader.items(start)
    base = stage.artifacts(first)
    events = Events.read(tables, first.item_ids)
    half_life = float(stage.description["half_life_days"])
    cuts = tables.split.cuts()
    cuts = cuts[(cuts >= start) & (cuts < end)]
    refits = cuts[:: -(-len(cuts) // MOST_REFITS)]

    @lru_cache(maxsize=1)
    def neighbours_at(refit: float) -> Neighbours:
        return fit_neighbours(events, len(first), refit, CovisitationConfig())

    def at(cut: float) -> Artifacts:
        refit = float(refits[max(int(np.searchsorted(refits, cut, side="right")) - 1, 0)])
        popularity = fit_popularity(events, len(first), cut, half_life)
        return replace(base.with_parts(popularity, neighbours_at(refit)), items=reader.items(cut))

    return at
