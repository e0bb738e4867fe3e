"""Comparison of the item's price with the user's prices and the query's item; requires prices of events or items."""

from __future__ import annotations

import numpy as np

from feature_repo.features.groups.cross_group import Columns, CrossGroup, Pairs
from feature_repo.features.groups.facts import DatasetFacts

SMALLEST_PRICE_STD = 0.1  # of log prices; a user who always paid the same has no spread to divide by


class PricePairsGroup(CrossGroup):
    """Log price relative to the user's mean, in the user's standard deviations, and relative to the query's item."""

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        return ("price_z_to_user", "anchor_price_ratio") if facts.has_prices else ()

    def compute(self, pairs: Pairs) -> Columns:
        if "price_z_to_user" not in pairs.wanted:
            return {}
        mean, spread = pairs.of_user("mean_log_price"), pairs.of_user("std_log_price")
        listed, anchors, query_index = pairs.items.price, pairs.anchors, pairs.query_index
        price = np.log1p(listed[pairs.rows].astype(np.float64))
        anchor = np.where(anchors >= 0, np.log1p(listed[anchors].astype(np.float64)), np.nan)[query_index]
        z = (price - mean[query_index]) / np.maximum(spread[query_index], SMALLEST_PRICE_STD)
        return {"price_z_to_user": z, "anchor_price_ratio": price - anchor}
