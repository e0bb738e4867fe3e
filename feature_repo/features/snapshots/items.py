"""Snapshots of items: activity, rates and content as of each day.

Owns the view `item_stats`. Refuses ages: it stores the moments they count from.
"""

from __future__ import annotations

import math
from typing import Any

import ibis

from feature_repo.features.feature_set import HALF_LIVES, ITEM_AGES, ITEM_FACTS, RATE_WINDOWS, WINDOWS, FeatureSet
from feature_repo.features.snapshots.sellers import seller_windows
from feature_repo.features.snapshots.windows import (
    FIXED_POINT,
    STATIC,
    Calendar,
    Column,
    LogTables,
    Table,
    at_day,
    attributes,
    finished,
    log_price_of,
    outcomes,
    over_days,
    prior,
    smoothed,
    spine,
)

RATE_STRENGTH = 20.0  # impressions that the global rate is worth
EVENT_STRENGTH = 5.0  # positive events that a global share is worth
CONTENT = (
    *("in_stock", "regions", "min_age", "rating", "num_ratings"),
    *("created_at_us", "category", "seller_id", "price"),
)
TREND_FLOOR = 0.1  # events a day under which a trend is noise


def item_stats(log: LogTables, calendar: Calendar, feature_set: FeatureSet) -> Table:
    """Windowed activity, smoothed rates and content of every item at every day of interest.

    Returns:
        item_id, event_timestamp, the stored numeric columns, `ITEM_FACTS` (created_at: the earlier of
        creation and first event, unix seconds) and the categorical columns as text; one row an item and emitted day.
    """
    events = calendar.with_day(log.interactions.filter(log.interactions.item_id.notnull()))
    shown = outcomes(log.impressions, feature_set.objectives, calendar)
    intervals = attributes(log.items, "item_id", calendar)
    activity = _activity(events, shown, calendar, feature_set)
    sums = dict.fromkeys(name for table in activity for name in table.columns)
    for name in ("item_id", "day", "first_us"):
        del sums[name]
    rows = spine("item_id", activity, intervals, tuple(sums), calendar, extremes={"first_us": "min"})
    rows = finished(_windows(rows, calendar, feature_set), calendar)
    rows = rows.inner_join(_priors(events, shown, calendar, feature_set), "day")
    static = dict.fromkeys((*CONTENT, *feature_set.item_categorical, *feature_set.item_extras))
    rows = at_day(rows, intervals, "item_id", static)
    rows = _with_price(rows, intervals, calendar, feature_set)
    if any(name.startswith("seller_") for name in feature_set.item_numeric):
        sellers = seller_windows(events, shown, feature_set.objectives[0], intervals, calendar)
        rows = rows.left_join(sellers, [rows.static_seller_id == sellers.seller, rows.day == sellers.seller_day])
    rows = rows.mutate(**_derived(rows, calendar, feature_set))
    taken = [name for name in static if name not in ("price", "created_at_us")]
    rows = rows.mutate(**{name: rows[STATIC + name] for name in taken})
    stored = [name for name in feature_set.item_numeric if name not in ITEM_AGES]
    return rows.select(
        "item_id",
        "event_timestamp",
        **{name: rows[name].cast("float32") for name in stored},
        **{name: rows[name].cast(kind) for name, kind in ITEM_FACTS.items() if name not in stored},
        **{name: rows[name].cast("string") for name in feature_set.item_categorical},
    )


def _activity(events: Table, shown: Table, calendar: Calendar, feature_set: FeatureSet) -> list[Table]:
    """What happened with each item on each day: events, impressions, and users entering and leaving the month."""
    positive = events.filter((events.grade > 0) & events.user_id.notnull())
    before = ibis.window(group_by=["user_id", "item_id"], order_by=[positive.time_us, positive.row])
    again = positive.mutate(again=(ibis.row_number().over(before) > 0).cast("int64"))
    daily = events.group_by("item_id", "day").agg(
        **{f"num_{name}": (events.grade == grade).sum() for grade, name in enumerate(feature_set.objectives, start=1)},
        positives=(events.grade > 0).sum(),
        negatives=(events.grade < 0).sum(),
        priced=events.price.notnull().sum(),
        log_price=log_price_of(events.price).sum(),
        first_us=events.time_us.min(),
    )
    impressions = shown.group_by("item_id", "day").agg(
        **{f"label_{name}": shown[f"label_{name}"].sum() for name in feature_set.objectives},
        impressions=shown.shown.sum(),
        first_us=shown.time_us.min(),
    )
    repeats = again.group_by("item_id", "day").agg(repeats=again.again.sum())
    return [daily, impressions, repeats, _users_in_window(positive, calendar.steps(30))]


def _users_in_window(positive: Table, steps: int) -> Table:
    """Changes in the number of distinct users over a window: +1 the day a user comes in, -1 the day one has left.

    A user's stays in the window overlap where two days are less than `steps` apart, and such stays are one.
    """
    days = positive.select("item_id", "user_id", "day").distinct()
    order = ibis.window(group_by=["item_id", "user_id"], order_by=days.day)
    gaps = days.mutate(before=days.day.lag(1).over(order), after=days.day.lead(1).over(order))
    comes = gaps.filter(gaps.before.isnull() | (gaps.day - gaps.before >= steps))
    leaves = gaps.filter(gaps.after.isnull() | (gaps.after - gaps.day >= steps))
    changes = ibis.union(
        comes.select("item_id", "day", change=ibis.literal(1, "int64")),
        leaves.select("item_id", day=leaves.day + steps, change=ibis.literal(-1, "int64")),
    )
    return changes.group_by("item_id", "day").agg(users=changes.change.sum())


def _windows(rows: Table, calendar: Calendar, feature_set: FeatureSet) -> Table:
    """Adds every window the columns are made of, named <sum>_<days>d or <sum>_total."""

    def over(name: str, days: int | None) -> Column:
        return over_days(rows[name], "item_id", rows.day, None if days is None else calendar.steps(days))

    columns = {f"num_{name}_{days}d": over(f"num_{name}", days) for name in feature_set.objectives for days in WINDOWS}
    if "num_impressions_1d" in feature_set.item_numeric:
        columns |= {f"num_impressions_{days}d": over("impressions", days) for days in WINDOWS}
    for name in feature_set.objectives:
        if f"smoothed_rate_{name}_7d" in feature_set.item_numeric:
            columns |= {f"label_{name}_{days}d": over(f"label_{name}", days) for days in RATE_WINDOWS}
    columns |= {f"positives_{days}d": over("positives", days) for days in RATE_WINDOWS}
    columns |= {f"{name}_30d": over(name, 30) for name in ("negatives", "repeats")}
    columns["num_users_30d"] = over("users", None)
    columns |= {f"{name}_total": over(name, None) for name in ("priced", "log_price")}
    so_far = ibis.cumulative_window(group_by="item_id", order_by=rows.day)
    columns["first_seen_us"] = rows.first_us.min().over(so_far)
    for days in HALF_LIVES:
        # A sum of n 2^(-(today - day) / half-life), with the newest day as origin so that nothing overflows.
        age = (rows.day - calendar.last).cast("float64") / calendar.steps(days)
        decayed = (rows.positives * (age * math.log(2)).exp()).sum().over(so_far) * (age * -math.log(2)).exp()
        columns[f"popularity_{days}d"] = (decayed + 1.0).ln()
    return rows.mutate(**columns)


def _priors(events: Table, shown: Table, calendar: Calendar, feature_set: FeatureSet) -> Table:
    """The global rates that smoothed ones are drawn to, by day: rate_<objective>, returned, repeated."""
    daily = events.group_by("day").agg(
        positives=(events.grade > 0).sum(), negatives=(events.grade < 0).sum(), all=(events.grade != 0).sum()
    )
    priors = prior(daily, "negatives", "all", "return_prior", calendar)
    for name in feature_set.objectives:
        labels = shown.group_by("day").agg(hits=shown[f"label_{name}"].sum(), trials=shown.shown.sum())
        priors = priors.inner_join(prior(labels, "hits", "trials", f"{name}_prior", calendar), "day")
    return priors


def _with_price(rows: Table, intervals: Table, calendar: Calendar, feature_set: FeatureSet) -> Table:
    """Adds `price`: listed, else the mean paid so far; and `category_log_price`, the category's mean."""
    paid = (rows.log_price_total / rows.priced_total.cast("float64").nullif(0.0) / FIXED_POINT).exp() - 1.0
    rows = rows.mutate(price=ibis.coalesce(rows.static_price, paid))
    if "price_to_category" not in feature_set.item_numeric:
        return rows
    priced = intervals.filter(intervals.category.notnull() & intervals.price.notnull())
    log_price = log_price_of(priced.price)
    changes = ibis.union(
        priced.select("category", day=priced.from_day, count=ibis.literal(1, "int64"), total=log_price),
        priced.select("category", day=priced.to_day, count=ibis.literal(-1, "int64"), total=-log_price),
        priced.select("category")
        .distinct()
        .cross_join(calendar.stamps.select("day"))
        .mutate(count=ibis.literal(0, "int64"), total=ibis.literal(0, "int64")),
    )
    daily = changes.group_by("category", "day").agg(count=changes["count"].sum(), total=changes.total.sum())
    so_far = ibis.cumulative_window(group_by="category", order_by=daily.day)
    means = daily.select(
        "day",
        price_category="category",
        category_log_price=daily.total.sum().over(so_far)
        / daily["count"].sum().over(so_far).cast("float64").nullif(0.0)
        / FIXED_POINT,
    )
    joined = rows.left_join(means, [rows.day == means.day, rows.static_category == means.price_category])
    return joined.drop("day_right", "price_category")


def _derived(rows: Table, calendar: Calendar, feature_set: FeatureSet) -> dict[str, Any]:
    """Columns computed from windows and content."""
    created = rows.static_created_at_us
    known_days = (rows.day + 1).cast("float64") / calendar.steps(1)  # a young log has had no full month
    columns: dict[str, Any] = {
        "trend": (_per_day(rows.positives_7d, 7, known_days) / _per_day(rows.positives_30d, 30, known_days)).ln(),
        "repeat_rate_30d": smoothed(rows.repeats_30d, rows.positives_30d, 0.0, EVENT_STRENGTH),
        "return_rate_30d": smoothed(
            rows.negatives_30d, rows.positives_30d + rows.negatives_30d, rows.return_prior, EVENT_STRENGTH
        ),
        "created_at": ibis.least(
            ibis.coalesce(created, rows.first_seen_us), ibis.coalesce(rows.first_seen_us, created)
        ).cast("float64")
        / 1e6,
        "log_price": (rows.price + 1.0).ln(),
        "log_num_ratings": (ibis.greatest(rows.static_num_ratings, 0.0) + 1.0).ln(),
    }
    if "price_to_category" in feature_set.item_numeric:
        columns["price_to_category"] = columns["log_price"] - rows.category_log_price
    first = feature_set.objectives[0]
    if f"seller_rate_{first}_30d" in feature_set.item_numeric:
        columns[f"seller_rate_{first}_30d"] = smoothed(
            rows.seller_hits, rows.seller_shown, rows[f"{first}_prior"], RATE_STRENGTH
        )
    if "seller_return_rate_30d" in feature_set.item_numeric:
        decided = rows.seller_positives + rows.seller_negatives
        columns["seller_return_rate_30d"] = smoothed(rows.seller_negatives, decided, rows.return_prior, EVENT_STRENGTH)
    for name in feature_set.objectives:
        for days in RATE_WINDOWS:
            if f"smoothed_rate_{name}_{days}d" in feature_set.item_numeric:
                columns[f"smoothed_rate_{name}_{days}d"] = smoothed(
                    rows[f"label_{name}_{days}d"],
                    rows[f"num_impressions_{days}d"],
                    rows[f"{name}_prior"],
                    RATE_STRENGTH,
                )
    return columns


def _per_day(count: Column, days: int, known_days: Column) -> Column:
    return count / ibis.least(known_days, float(days)) + TREND_FLOOR
