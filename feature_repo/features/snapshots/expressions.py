"""Expressions that several groups use: windows, smoothed rates, global rates, log prices, sessions."""

from __future__ import annotations

import ibis

from feature_repo.dataset.split import DAY_MICROSECONDS
from feature_repo.features.snapshots.calendar import Calendar, Column, Table

FIXED_POINT = 1_000_000  # logs are summed as integer millionths, so that sums do not depend on the order of the rows


def over_days(column: Column, key: str, order: Column, steps: int | None) -> Column:
    """Sum of a column over the last `steps` days of its key (None: all days so far), including the current day."""
    if steps is None:
        return column.sum().over(ibis.cumulative_window(group_by=key, order_by=order))
    return column.sum().over(ibis.range_window(group_by=key, order_by=order, preceding=steps - 1, following=0))


def smoothed(hits: Column, trials: Column, prior: Column, strength: float) -> Column:
    """A rate smoothed towards a prior with the weight of `strength` trials; null without trials and prior."""
    return (hits + strength * prior) / (trials + strength)


def prior(daily: Table, hits: str, trials: str, name: str, calendar: Calendar) -> Table:
    """A global rate over the last 30 days for every day: (day, `name`), null without trials.

    Args:
        daily: (day, hits, trials), at most one row per day.
        hits: Column with the number of outcomes.
        trials: Column with the number of trials.
        name: Name of the new column.
        calendar: The days.
    """
    days = calendar.stamps.left_join(daily, "day").select("day", hits, trials)
    last = ibis.range_window(order_by=days.day, preceding=calendar.steps(30) - 1, following=0)
    rate = days[hits].sum().over(last) / days[trials].sum().over(last).cast("float64").nullif(0.0)
    return days.select("day", **{name: rate})


def log_price_of(price: Column) -> Column:
    """log(1 + price) in fixed point, null without a price."""
    return ((ibis.greatest(price, 0.0) + 1.0).ln() * FIXED_POINT).round().cast("int64")


def session_key(events: Table) -> Column:
    """The session of each event within its user; the user's day if the log has no session."""
    own_day = (events.time_us / DAY_MICROSECONDS).floor().cast("int64").cast("string")
    return ibis.coalesce(ibis.literal("s") + events.session_id, own_day)
