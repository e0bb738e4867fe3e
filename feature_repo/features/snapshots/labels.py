"""Impressions and their labels, each on the day on which it became known."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import ibis

from feature_repo.features.snapshots.calendar import Calendar, Table


def with_label_times(
    shown: Table,
    events: Table,
    joined: Mapping[str, Sequence[str]],
    columns: Collection[str] = (),
    num_own: int = 0,
) -> Table:
    """Adds known_<objective>_us to impressions: the time of the event that a label was joined from.

    Args:
        shown: Impressions with time_us.
        events: Interactions with time_us.
        joined: Objective -> event types that fulfil it, for the objectives whose labels ingest joined through user,
            request and item. A label from a column has no time and counts as known at once. The same holds for labels
            from events that the row rules removed.
        columns: The objectives of `joined` whose labels are columns in the dataset, joined in the served log only.
        num_own: Impressions with a smaller `row` are the dataset's.
    """
    if not joined:
        return shown
    requested = events.filter(events.request_id.notnull())
    known = requested.group_by(_user="user_id", _request="request_id", _item="item_id").agg(
        **{f"known_{name}_us": requested.time_us.min(where=requested.event_type.isin(joined[name])) for name in joined}
    )
    keys = {"_user": "user_id", "_request": "request_id", "_item": "item_id"}
    found = shown.left_join(known, [shown[name] == known[key] for key, name in keys.items()])
    moments = {name: found[f"known_{name}_us"].fill_null(found.time_us) for name in joined}
    for name in columns:
        moments[name] = (found.row < num_own).ifelse(found.time_us, moments[name])
    later = {f"known_{name}_us": ibis.greatest(moment, found.time_us) for name, moment in moments.items()}
    return found.drop(*keys).mutate(**later)


def outcomes(shown: Table, objectives: Sequence[str], calendar: Calendar) -> Table:
    """Impressions and fulfilled labels as separate events, each on the day on which it became known.

    A purchase a week after the impression must not count on the day of the impression.

    Returns:
        user_id, item_id, time_us, day, and 0 or 1: `shown`, and label_<objective> of each objective.
    """
    keys = ("user_id", "item_id")
    nothing = {name: ibis.literal(0, "int64") for name in ("shown", *(f"label_{name}" for name in objectives))}
    one = ibis.literal(1, "int64")
    parts = [shown.select(*keys, "time_us", **(nothing | {"shown": one}))]
    for name in objectives:
        true = shown.filter(shown[f"label_{name}"] == 1)
        moment = f"known_{name}_us" if f"known_{name}_us" in shown.columns else "time_us"
        parts.append(true.select(*keys, time_us=moment, **(nothing | {f"label_{name}": one})))
    return calendar.with_day(ibis.union(*parts))
