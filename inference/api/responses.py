"""Response bodies and headers made from slates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from inference.api import cursor as cursors
from inference.candidates.query import Slate
from inference.models.artifacts import Artifacts


def body(slate: Slate, artifacts: Artifacts, shown: Sequence[str]) -> dict[str, Any]:
    """Returns the JSON body of one slate.

    Args:
        slate: The slate to send.
        artifacts: The release that made the slate.
        shown: Items of earlier pages.
    """
    query = slate.query
    items = [_item(slate, place, artifacts) for place in range(len(slate.rows))]
    seen = [*shown, *(item["item_id"] for item in items)]
    more = len(items) == query.count
    return {
        "request_id": query.request_id,
        "items": items,
        "cursor": cursors.encode(seen, query.user_id, query.surface, query.item_id) if more else None,
        "bundle_version": slate.bundle_version,
        "degraded": list(slate.degraded),
    }


def server_timing(seconds: Mapping[str, float]) -> str:
    """Returns the Server-Timing header with the milliseconds of each stage (W3C Server Timing)."""
    return ", ".join(f"{name};dur={1000 * spent:.2f}" for name, spent in seconds.items())


def _item(slate: Slate, place: int, artifacts: Artifacts) -> dict[str, Any]:
    row = int(slate.rows[place])
    score, price = float(slate.scores[place]), float(artifacts.items.price[row])
    item: dict[str, Any] = {
        "item_id": str(artifacts.items.item_ids[row]),
        "score": round(score, 6) if math.isfinite(score) else None,
        "position": place,
        "source": slate.sources[place],
        "reason": slate.reasons[place],
        **artifacts.contents.describe(row),
    }
    if math.isfinite(price):
        item["price"] = round(price, 4)
    return item
