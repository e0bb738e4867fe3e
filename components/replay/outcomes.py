"""The outcomes of a span as SQL: items that were shown or acted on, by group, as far as the span knows them.

Nothing outside of the span counts. The models of the span are fitted on earlier events, and later events belong to the
span that measures these models. So a row counts at its own time, and a label that ingest joined counts at the time of
its event. A label from a column has no time and counts at the time of its impression. The part of a session or a day
that lies in the span is a group of the span.

A request id names a request of one user, because some logs number the requests of every user from 0.
"""

from __future__ import annotations

from feature_repo.dataset.tables import PreparedTables, label_column
from feature_repo.storage.quoting import literal

DAY_KEY = "concat('day ', floor(epoch(timestamp) / 86400)::BIGINT::VARCHAR)"
SESSION_KEY = f"coalesce(session_id, {DAY_KEY})"
GROUP_KEYS = "user_id, group_key"
REQUEST = "user_id, request_id"
CONTEXT = "user_id, item_id, time, surface, device, country, grade"


def outcomes_query(tables: PreparedTables, start: float, end: float) -> str:
    """A query over the views `interactions` and `impressions` with a row per item of every group of a span.

    Args:
        tables: Clean prepared tables.
        start: Unix seconds; earlier outcomes do not count.
        end: Unix seconds; outcomes at or after it do not count.

    Returns:
        SQL of user_id, group_key, item_id, time (of the first outcome), surface, device, country, grade (0 or more), a
        label column for each objective, shown, position (-1 if unknown), propensity (null if unknown).
    """
    labels = [label_column(objective) for objective in tables.objectives]
    parts = [f"SELECT {CONTEXT}, {', '.join(labels)}, group_key, true AS shown, position, propensity FROM shown"]
    if tables.has_sessions:
        acted = ", ".join(f"(grade = {rank})::TINYINT AS {column}" for rank, column in enumerate(labels, 1))
        elsewhere = f"ANTI JOIN slates USING ({REQUEST})" if tables.has_slates else ""
        parts.append(
            f"SELECT {CONTEXT}, {acted}, {SESSION_KEY} AS group_key, false AS shown, "
            f"NULL::INTEGER AS position, NULL::DOUBLE AS propensity FROM acted {elsewhere} WHERE grade > 0"
        )
    strongest = ", ".join(f"coalesce(max({column}), 0)::TINYINT AS {column}" for column in labels)
    return f"""
        WITH slates AS (SELECT {REQUEST} FROM impressions GROUP BY ALL HAVING count(DISTINCT item_id) > 1),
        acted AS (SELECT *, epoch(timestamp) AS time FROM interactions WHERE {_within("time", start, end)}),
        shown AS ({_shown(tables, start, end)})
        SELECT {GROUP_KEYS}, item_id, min(time) AS time, min(surface) AS surface, min(device) AS device,
               min(country) AS country, greatest(max(grade), 0)::TINYINT AS grade, {strongest},
               bool_or(shown) AS shown, coalesce(min(position), -1)::INTEGER AS position,
               arg_min(propensity, position) AS propensity
        FROM ({" UNION ALL BY NAME ".join(parts)})
        WHERE group_key IS NOT NULL GROUP BY {GROUP_KEYS}, item_id
    """


def _shown(tables: PreparedTables, start: float, end: float) -> str:
    """SQL of the span's impressions with `group_key`, without labels and grades from events outside of the span."""
    sources, num_own = tables.description["label_sources"], tables.description["num_own"]["impressions"]
    moments: list[str] = []
    outside: list[str] = []
    kept: list[str] = []
    grades: list[str] = []
    for rank, (name, kinds) in enumerate(tables.config.objectives.items(), 1):
        if "joined" in sources[name]:
            fulfils = f"event_type IN ({', '.join(map(literal, kinds))})"
            moments.append(f"min(epoch(timestamp)) FILTER ({fulfils}) AS at_{rank}")
            dated = f"shown.row >= {num_own} AND " if "column" in sources[name] else ""
            outside.append(f"coalesce({dated}NOT ({_within(f'at_{rank}', start, end)}), false) AS outside_{rank}")
        else:
            outside.append(f"false AS outside_{rank}")
        column = label_column(name)
        kept.append(f"CASE WHEN outside_{rank} THEN 0 ELSE {column} END::TINYINT AS {column}")
        grades.insert(0, f"WHEN {column} = 1 AND NOT outside_{rank} THEN {rank}")
    some_outside = " OR ".join(f"outside_{rank}" for rank in range(len(kept) + 1))
    key = "request_id"
    if tables.has_sessions:
        key = f"CASE WHEN slates.request_id IS NULL THEN {SESSION_KEY} ELSE shown.request_id END"
    return f"""
        SELECT * REPLACE (
            {", ".join(kept)},
            CASE WHEN grade < 0 AND NOT outside_0 THEN grade
                 WHEN {some_outside} THEN CASE {" ".join(grades)} ELSE 0 END ELSE grade END AS grade)
        FROM (
            SELECT shown.*, epoch(timestamp) AS time, {key} AS group_key,
                   coalesce(NOT ({_within("at_0", start, end)}), false) AS outside_0, {", ".join(outside)}
            FROM impressions AS shown LEFT JOIN slates USING ({REQUEST}) LEFT JOIN (
                SELECT {REQUEST}, item_id, min(epoch(timestamp)) FILTER (grade < 0) AS at_0, {", ".join(moments)}
                FROM interactions WHERE request_id IS NOT NULL GROUP BY {REQUEST}, item_id
            ) USING ({REQUEST}, item_id)
            WHERE {_within("time", start, end)}
        )
    """


def _within(time: str, start: float, end: float) -> str:
    return f"{time} >= '{float(start)!r}'::DOUBLE AND {time} < '{float(end)!r}'::DOUBLE"
