"""What happened with all items of a seller, as of each day: the ground of a seller's quality.

Owns whose an item is on a day: the seller of its content on that day. Refuses rates; `item_snapshots.py` smooths them.
"""

from __future__ import annotations

import ibis

from feature_repo.features.snapshots.windows import Calendar, Column, Table, at_day, over_days

SELLER_DAYS = 30
SELLER_SUMS = ("hits", "shown", "positives", "negatives")


def seller_windows(events: Table, shown: Table, first: str, intervals: Table, calendar: Calendar) -> Table:
    """Sums over the last 30 days of every seller at every day from `since` on.

    Args:
        events: Interactions with their day.
        shown: See `snapshots.outcomes`.
        first: The weakest objective.
        intervals: Content of items, see `snapshots.attributes`.
        calendar: The days.

    Returns:
        seller, seller_day, and seller_<sum> of `SELLER_SUMS`: labels of the first objective, impressions, positive and
        negative events.
    """
    none = ibis.literal(0, "int64")
    acted = events.select(
        "item_id", "day", hits=none, shown=none, positives=_one(events.grade > 0), negatives=_one(events.grade < 0)
    )
    seen = shown.select(
        "item_id", "day", hits=shown[f"label_{first}"], shown=shown.shown, positives=none, negatives=none
    )
    owned = at_day(ibis.union(acted, seen), intervals, "item_id", ["seller_id"])
    days = calendar.stamps.filter(calendar.stamps.day >= calendar.since).select("day")
    sellers = intervals.filter(intervals.seller_id.notnull()).select(seller="seller_id").distinct()
    grid = sellers.cross_join(days).mutate(**dict.fromkeys(SELLER_SUMS, none))
    known = owned.filter(owned.static_seller_id.notnull())
    rows = ibis.union(known.select("day", *SELLER_SUMS, seller="static_seller_id").select(*grid.columns), grid)
    daily = rows.group_by("seller", "day").agg(**{name: rows[name].sum() for name in SELLER_SUMS})
    steps = calendar.steps(SELLER_DAYS)
    return daily.select(
        "seller",
        seller_day="day",
        **{f"seller_{name}": over_days(daily[name], "seller", daily.day, steps) for name in SELLER_SUMS},
    )


def _one(condition: Column) -> Column:
    return condition.cast("int64")
