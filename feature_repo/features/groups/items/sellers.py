"""Quality of a seller over all its items; requires sellers of items, and labels on impressions or negative events.

The seller of an item on a day is the seller in the item's content of that day.
"""

from __future__ import annotations

import ibis

from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.items.outcome_rates import RATE_STRENGTH, outcome_prior
from feature_repo.features.groups.items.returns import RETURN_STRENGTH, return_prior
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup
from feature_repo.features.snapshots.calendar import Column, Table
from feature_repo.features.snapshots.expressions import over_days, smoothed
from feature_repo.features.snapshots.intervals import at_day

SELLER_DAYS = 30
SELLER_SUMS = ("hits", "shown", "positives", "negatives")
RETURN_RATE = "seller_return_rate_30d"


class SellersGroup(SnapshotGroup):
    """The rate of the first objective and the share of returns over all items of the seller, over 30 days."""

    content = ("seller_id",)

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        if not facts.has_column("items", "seller_id"):
            return ()
        rate = [_rate(facts.objectives)] if facts.objectives[0] in facts.labelled else []
        return (*rate, RETURN_RATE) if facts.has_negatives else tuple(rate)

    def priors(self, activity: Activity) -> dict[str, Table]:
        first, wanted = activity.objectives[0], activity.feature_set.item_numeric
        rate = {f"{first}_prior": outcome_prior(activity, first)} if _rate(activity.objectives) in wanted else {}
        return rate | ({"return_prior": return_prior(activity)} if RETURN_RATE in wanted else {})

    def joined(self, rows: Table, activity: Activity) -> Table:
        sellers = _seller_windows(activity)
        return rows.left_join(sellers, [rows.static_seller_id == sellers.seller, rows.day == sellers.seller_day])

    def derived(self, rows: Table, activity: Activity) -> dict[str, Column]:
        first, wanted = activity.objectives[0], activity.feature_set.item_numeric
        columns = {}
        rate = _rate(activity.objectives)
        if rate in wanted:
            columns[rate] = smoothed(rows.seller_hits, rows.seller_shown, rows[f"{first}_prior"], RATE_STRENGTH)
        if RETURN_RATE in wanted:
            decided = rows.seller_positives + rows.seller_negatives
            columns[RETURN_RATE] = smoothed(rows.seller_negatives, decided, rows.return_prior, RETURN_STRENGTH)
        return columns


def _rate(objectives: tuple[str, ...]) -> str:
    return f"seller_rate_{objectives[0]}_30d"


def _seller_windows(activity: Activity) -> Table:
    """Sums over the last 30 days of every seller for every day from `since`.

    Returns:
        seller, seller_day, and seller_<sum> of `SELLER_SUMS`: labels of the first objective, impressions, positive and
        negative events.
    """
    events, shown, calendar = activity.events, activity.shown, activity.calendar
    none = ibis.literal(0, "int64")
    acted = events.select(
        "item_id", "day", hits=none, shown=none, positives=_one(events.grade > 0), negatives=_one(events.grade < 0)
    )
    hits = shown[f"label_{activity.objectives[0]}"]
    seen = shown.select("item_id", "day", hits=hits, shown=shown.shown, positives=none, negatives=none)
    owned = at_day(ibis.union(acted, seen), activity.items, "item_id", ["seller_id"])
    days = calendar.stamps.filter(calendar.stamps.day >= calendar.since).select("day")
    sellers = activity.items.filter(activity.items.seller_id.notnull()).select(seller="seller_id").distinct()
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
