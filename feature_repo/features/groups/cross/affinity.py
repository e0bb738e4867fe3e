"""Affinity of the user's last events to an item's category, brand and seller; requires values of these columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from feature_repo.features.ages import days_between
from feature_repo.features.groups.cross.contacts import contacts
from feature_repo.features.groups.cross_group import Columns, CrossGroup, Pairs
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.state import IntArray
from feature_repo.features.vocabularies import ITEM_CATEGORICAL


class AffinityGroup(CrossGroup):
    """Share of and days since the last events with the item's value, and whether the query's item has that value."""

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        return tuple(
            f"{kind}_{name}"
            for name in ITEM_CATEGORICAL
            if name in facts.item_categorical
            for kind in ("history_share", "days_since", "anchor_same")
        )

    def compute(self, pairs: Pairs) -> Columns:
        columns: Columns = {}
        for place, name in enumerate(pairs.feature_set.item_categorical):
            if f"history_share_{name}" in pairs.wanted:
                codes = pairs.items.categorical[:, place]
                columns |= _history_columns(name, codes, pairs)
                columns[f"anchor_same_{name}"] = _anchor_same(codes, pairs)
        return columns


def _history_columns(name: str, codes: IntArray, pairs: Pairs) -> Columns:
    """Share of the last events with the item's code of a column, and days since the latest of these events."""
    history, wanted = pairs.users.history, codes[pairs.rows]
    size = pairs.feature_set.vocabulary_size(f"items.{name}")
    found, last = contacts(history, codes[history.rows], wanted, pairs.query_index, size)
    lengths = np.diff(history.offsets)[pairs.query_index]
    share = np.full(len(pairs), np.nan)
    np.divide(found, lengths, out=share, where=(lengths > 0) & (wanted > 0))
    since = np.where((found > 0) & (wanted > 0), days_between(last, pairs.now), np.nan)
    return {f"history_share_{name}": share, f"days_since_{name}": since}


def _anchor_same(codes: IntArray, pairs: Pairs) -> npt.NDArray[np.float64]:
    """1 if the item and the query's item have the same code, 0 if not, NaN if either code is unknown."""
    anchors = pairs.anchors
    if not (anchors >= 0).any():
        return np.full(len(pairs), np.nan)
    anchor = np.where(anchors >= 0, codes[anchors], 0)[pairs.query_index]
    wanted = codes[pairs.rows]
    return np.where((anchor > 0) & (wanted > 0), (anchor == wanted).astype(np.float64), np.nan)
