"""Snapshots of users: activity and static columns a day, and histories as arrays whenever they change.

Owns the views `user_stats` and `user_history`. Refuses ages: it stores the moments they count from.
"""

from __future__ import annotations

from typing import Any

import ibis

from feature_repo.features.feature_set import HISTORY_ARRAYS, USER_AGES, WINDOWS, FeatureSet
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

HISTORY_LENGTH = 50
RATE_STRENGTH = 20.0  # impressions or clicks that the global rate is worth
CENTS = 100
DAY_US = 86_400_000_000


def user_stats(log: LogTables, calendar: Calendar, feature_set: FeatureSet) -> Table:
    """Windowed activity and static columns of every user at every day of interest.

    Returns:
        user_id, event_timestamp, the stored numeric columns, the moments of the ages (unix seconds) and the categorical
        columns as text; one row a user and emitted day.
    """
    events = with_sessions(with_prices(log, calendar))
    intervals = attributes(log.users, "user_id", calendar)
    shown = outcomes(log.impressions, feature_set.objectives[:1], calendar)
    sums = [
        *(f"num_{objective}" for objective in feature_set.objectives),
        *("positives", "active", "sessions", "priced", "log_price", "log_price_squared", "order_cents", "orders"),
        *("impressions", "clicks"),
    ]
    rows = spine(
        "user_id",
        [_daily_events(events, feature_set), _daily_impressions(shown, feature_set)],
        intervals,
        sums,
        calendar,
        extremes={"last_us": "max"},
    )
    rows = finished(_windows(rows, calendar, feature_set), calendar)
    rows = rows.inner_join(_priors(shown, events, calendar, feature_set), "day")
    static = ("signup_at_us", *feature_set.user_categorical, *feature_set.user_extras)
    rows = at_day(rows, intervals, "user_id", static)
    rows = rows.mutate(**_derived(rows, feature_set), **{name: rows[STATIC + name] for name in static})
    stored = [name for name in feature_set.user_numeric if name not in USER_AGES]
    moments = [USER_AGES[name] for name in feature_set.user_numeric if name in USER_AGES]
    return rows.select(
        "user_id",
        "event_timestamp",
        **{name: rows[name].cast("float32") for name in stored},
        **{name: rows[name].cast("float64") for name in moments},
        **{name: rows[name].cast("string") for name in feature_set.user_categorical},
    )


def user_history(log: LogTables, calendar: Calendar) -> Table:
    """The last events and all own items of every user with a positive or negative event, as of each day they changed.

    Returns:
        user_id, event_timestamp, and `HISTORY_ARRAYS`: history oldest first, own items by id, times in unix seconds.
    """
    interactions = log.interactions
    events = calendar.with_day(
        interactions.filter((interactions.grade != 0) & interactions.user_id.notnull()).select(
            "row", "user_id", "item_id", "grade", "time_us"
        )
    )
    changes = events.select(
        "user_id", at=ibis.greatest(events.day, calendar.since)
    ).distinct()  # what changed before the first day is known at the first day
    rows = _own_items(events, changes).left_join(_last_events(events, changes), ["user_id", "at"])
    return rows.inner_join(calendar.stamps, rows["at"] == calendar.stamps.day).select(
        "user_id", "event_timestamp", *HISTORY_ARRAYS
    )


def with_prices(log: LogTables, calendar: Calendar) -> Table:
    """Interactions with their day and `unit_price`: their own price, else the item's on that day."""
    interactions = log.interactions
    events = calendar.with_day(interactions.filter(interactions.user_id.notnull() & interactions.item_id.notnull()))
    events = at_day(events, attributes(log.items, "item_id", calendar), "item_id", ["price"])
    return events.mutate(unit_price=ibis.coalesce(events.price, events.static_price))


def with_sessions(events: Table) -> Table:
    """Adds `new_session` and `new_order`: 1 at the first event (first priced one of its grade) of a session, else 0.

    Where the log names no session it is the user's day. First is decided by what came before, never after.
    """
    own_day = (events.time_us / DAY_US).floor().cast("int64").cast("string")
    keyed = events.mutate(session_key=ibis.coalesce(ibis.literal("s") + events.session_id, own_day))
    order = ibis.window(group_by=["user_id", "session_key"], order_by=[keyed.time_us, keyed.row])
    alike = ["user_id", "session_key", "grade", keyed.unit_price.notnull()]
    by_grade = ibis.window(group_by=alike, order_by=[keyed.time_us, keyed.row])
    return keyed.mutate(
        new_session=(ibis.row_number().over(order) == 0).cast("int64"),
        new_order=(ibis.row_number().over(by_grade) == 0).cast("int64"),
    )


def _daily_events(events: Table, feature_set: FeatureSet) -> Table:
    strongest = len(feature_set.objectives)
    positive = events.grade > 0
    priced = positive & events.unit_price.notnull()
    bought = (events.grade == strongest) & events.unit_price.notnull()
    log_price = log_price_of(events.unit_price)
    logs = log_price.cast("float64") / FIXED_POINT
    cents = (events.unit_price * ibis.greatest(events.quantity.fill_null(1.0), 0.0) * CENTS).round().cast("int64")
    return events.group_by("user_id", "day").agg(
        **{f"num_{name}": (events.grade == grade).sum() for grade, name in enumerate(feature_set.objectives, start=1)},
        positives=positive.sum(),
        active=events.grade.notnull().any().cast("int64"),
        sessions=events.new_session.sum(),
        priced=priced.sum(),
        log_price=priced.ifelse(log_price, 0).sum(),
        log_price_squared=priced.ifelse((logs * logs * FIXED_POINT).round().cast("int64"), 0).sum(),
        order_cents=bought.ifelse(cents, 0).sum(),
        orders=bought.ifelse(events.new_order, 0).sum(),
        last_us=events.time_us.max(),
    )


def _daily_impressions(shown: Table, feature_set: FeatureSet) -> Table:
    clicked = shown[f"label_{feature_set.objectives[0]}"]
    return shown.group_by("user_id", "day").agg(impressions=shown.shown.sum(), clicks=clicked.sum())


def _windows(rows: Table, calendar: Calendar, feature_set: FeatureSet) -> Table:
    """Adds every window the columns are made of, named <sum>_<days>d or <sum>_total."""

    def over(name: str, days: int | None) -> Column:
        return over_days(rows[name], "user_id", rows.day, None if days is None else calendar.steps(days))

    columns = {f"num_{name}_{days}d": over(f"num_{name}", days) for name in feature_set.objectives for days in WINDOWS}
    if "num_impressions_1d" in feature_set.user_numeric:
        columns |= {f"num_impressions_{days}d": over("impressions", days) for days in WINDOWS}
        columns["clicks_30d"] = over("clicks", 30)
    columns["num_active_days_30d"] = over("active", 30)
    columns["num_sessions_total"] = over("sessions", None)
    columns["num_positive_total"] = over("positives", None)
    for name in ("priced", "log_price", "log_price_squared", "order_cents", "orders"):
        columns[f"{name}_total"] = over(name, None)
    so_far = ibis.cumulative_window(group_by="user_id", order_by=rows.day)
    columns["last_event_at"] = rows.last_us.max().over(so_far).cast("float64") / 1e6
    return rows.mutate(**columns)


def _priors(shown: Table, events: Table, calendar: Calendar, feature_set: FeatureSet) -> Table:
    """The global rates of clicks an impression and of conversions a first step, by day."""
    first, strongest = 1, len(feature_set.objectives)
    daily_shown = shown.group_by("day").agg(
        clicks=shown[f"label_{feature_set.objectives[0]}"].sum(), impressions=shown.shown.sum()
    )
    daily_events = events.group_by("day").agg(
        converted=(events.grade == strongest).sum(), tried=(events.grade == first).sum()
    )
    clicks = prior(daily_shown, "clicks", "impressions", "click_prior", calendar)
    return clicks.inner_join(prior(daily_events, "converted", "tried", "conversion_prior", calendar), "day")


def _derived(rows: Table, feature_set: FeatureSet) -> dict[str, Any]:
    """Columns computed from windows and static columns."""
    first, strongest = feature_set.objectives[0], feature_set.objectives[-1]
    num_priced = rows.priced_total.cast("float64").nullif(0.0)
    mean = rows.log_price_total / num_priced / FIXED_POINT
    variance = rows.log_price_squared_total / num_priced / FIXED_POINT - mean * mean
    columns: dict[str, Any] = {
        "mean_log_price": mean,
        "std_log_price": ibis.greatest(variance, 0.0).sqrt(),
        "mean_order_value": rows.order_cents_total / rows.orders_total.cast("float64").nullif(0.0) / CENTS,
        "signup_at": rows.static_signup_at_us.cast("float64") / 1e6,
    }
    if "ctr_30d" in feature_set.user_numeric:
        columns["ctr_30d"] = smoothed(rows.clicks_30d, rows.num_impressions_30d, rows.click_prior, RATE_STRENGTH)
    if "conversion_30d" in feature_set.user_numeric:
        columns["conversion_30d"] = smoothed(
            rows[f"num_{strongest}_30d"], rows[f"num_{first}_30d"], rows.conversion_prior, RATE_STRENGTH
        )
    return columns


def _last_events(events: Table, changes: Table) -> Table:
    """The last positive events of each user at each change, as arrays, oldest first."""
    positive = events.filter(events.grade > 0)
    order = ibis.window(group_by="user_id", order_by=[positive.time_us, positive.row])
    numbered = positive.mutate(number=ibis.row_number().over(order))
    ends = numbered.group_by("user_id", "day").agg(end=numbered.number.max())
    known = changes.inner_join(ends, [changes.user_id == ends.user_id, ends.day <= changes["at"]])
    lengths = known.group_by("user_id", "at").agg(end=known.end.max())
    taken = lengths.inner_join(
        numbered,
        [
            lengths.user_id == numbered.user_id,
            numbered.number <= lengths.end,
            numbered.number > lengths.end - HISTORY_LENGTH,
        ],
    )
    return _collected(
        taken,
        "number",
        history_ids=taken.item_id,
        history_grades=taken.grade.cast("float64"),
        history_times=taken.time_us.cast("float64") / 1e6,
    )


def _own_items(events: Table, changes: Table) -> Table:
    """Every item of each user at each change, as arrays by item id."""
    daily = events.group_by("user_id", "item_id", "day").agg(
        count=(events.grade > 0).sum(),
        negatives=(events.grade < 0).sum(),
        grade=ibis.greatest(events.grade.max(), 0),
        first_us=events.time_us.min(),
        last_us=events.time_us.max(),
    )
    known = changes.inner_join(daily, [changes.user_id == daily.user_id, daily.day <= changes["at"]])
    own = known.group_by("user_id", "at", "item_id").agg(
        count=known["count"].sum(),
        negatives=known.negatives.sum(),
        grade=known.grade.max(),
        first_us=known.first_us.min(),
        last_us=known.last_us.max(),
    )
    return _collected(
        own,
        "item_id",
        own_ids=own.item_id,
        own_counts=own["count"].cast("float64"),
        own_negatives=own.negatives.cast("float64"),
        own_grades=own.grade.cast("float64"),
        own_first=own.first_us.cast("float64") / 1e6,
        own_last=own.last_us.cast("float64") / 1e6,
    )


def _collected(rows: Table, order: str, **columns: Column) -> Table:
    """One row a (user_id, at) with each column as an array, all in the same order.

    Entries are sorted as structs, by their first field: Spark has no ordered aggregation.
    """
    entry = ibis.struct({"order": rows[order], **columns})
    entries = rows.group_by("user_id", "at").agg(entries=entry.collect()).mutate(entries=ibis._.entries.sort())
    return entries.select("user_id", "at", **{name: _field(entries.entries, name) for name in columns})


def _field(entries: Column, name: str) -> Column:
    return entries.map(lambda entry: entry[name])
