"""The question that the ranker is trained on: which items a user likes between a query and the end of a horizon.

A group holds the outcomes of one request, session or day. The temporal evaluation and a feed ask about the whole
following span, so with a `Horizon` the positive events of that span count as well. Queries of a user that lie close
together ask nearly the same question, so only the first of each interval asks it. The other groups keep their labels,
from which the probabilities are calibrated, and lose their grades. No event at or after the end of the span counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import duckdb

from components.replay.outcomes import GROUP_KEYS, outcomes_query
from feature_repo.dataset.split import Split
from feature_repo.dataset.tables import PreparedTables, label_column


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far a query asks, and how often a user asks.

    Attributes:
        seconds: Length of the horizon. Events in [query, query + seconds) count, unless the span ends before.
        apart: Length of the intervals, in seconds from the start of the span, in which a user asks once.
    """

    seconds: float
    apart: float

    @classmethod
    def of(cls, split: Split) -> Self:
        """The horizon of the temporal evaluation (the length of the test span), asked once between user snapshots."""
        return cls(seconds=split.log_end - split.test_start, apart=split.user_step)


def create_groups(
    connection: duckdb.DuckDBPyConnection, tables: PreparedTables, start: float, end: float, horizon: Horizon | None
) -> None:
    """Creates the tables `outcomes`, `positives` and `groups` of a span.

    `groups` has a row for each group: user_id, group_key, surface, device, country, asked (time of the query), asks
    (whether grades count) and liked (whether an outcome has a grade). Without a horizon every group asks about its own
    outcomes. With one, groups that do not ask and were not shown are left out, because nothing learns from them.

    Args:
        connection: Has the views `interactions` and `impressions`; receives the tables.
        tables: Clean prepared tables.
        start: Unix seconds; earlier events do not count.
        end: Unix seconds; events at or after it do not count.
        horizon: The question; None counts only the outcomes of the group itself.
    """
    connection.execute(f"CREATE TABLE outcomes AS {outcomes_query(tables, start, end)}")
    connection.execute(
        """
        CREATE TABLE positives AS
        FROM (
            SELECT user_id, item_id, epoch(timestamp) AS time, grade FROM interactions
            UNION ALL BY NAME SELECT user_id, item_id, time, grade FROM outcomes
        )
        WHERE grade > 0 AND $asked AND time >= $start AND time < $end
        """,
        {"start": start, "end": end, "asked": horizon is not None},
    )
    connection.execute(
        f"""
        CREATE TABLE groups AS
        WITH own AS (
            SELECT {GROUP_KEYS}, min(time) AS asked, min(surface) AS surface, min(device) AS device,
                   min(country) AS country, max(grade) > 0 AS graded, bool_or(shown) AS was_shown
            FROM outcomes GROUP BY {GROUP_KEYS}
        ),
        thinned AS (
            SELECT *, $apart IS NULL OR 1 = row_number() OVER (
                PARTITION BY user_id, floor((asked - $start) / $apart) ORDER BY asked, group_key
            ) AS asks
            FROM own
        )
        SELECT thinned.* EXCLUDE (graded, was_shown),
               asks AND (graded OR coalesce(positives.time < least(asked + $seconds, $end), false)) AS liked
        FROM thinned ASOF LEFT JOIN positives ON thinned.user_id = positives.user_id AND asked <= positives.time
        WHERE asks OR was_shown
        """,
        {
            "start": start,
            "end": end,
            "apart": horizon and horizon.apart,
            "seconds": horizon.seconds if horizon else 0.0,
        },
    )


def graded_query(tables: PreparedTables, groups: str, end: float, horizon: Horizon | None) -> str:
    """A query with a row per item of some groups, with the grades that the question gives.

    Args:
        tables: Clean prepared tables.
        groups: Name of a table with the columns of `groups`, see `create_groups`.
        end: Unix seconds; events at or after it do not count.
        horizon: The question that the groups were created with.

    Returns:
        SQL of user_id, group_key, item_id, grade (0 if the group does not ask), a label column for each objective,
        shown, position (-1 if unknown), propensity (null if unknown). An item that is only in the horizon has no labels
        and was not shown.
    """
    labels = ", ".join(
        f"coalesce(own.{column}, 0)::TINYINT AS {column}" for column in map(label_column, tables.objectives)
    )
    seconds = horizon.seconds if horizon else 0.0
    return f"""
        SELECT {GROUP_KEYS}, item_id, {labels}, coalesce(shown, false) AS shown, coalesce(position, -1) AS position,
               propensity,
               CASE WHEN asks THEN greatest(own.grade, later.grade) ELSE 0 END::TINYINT AS grade
        FROM (FROM outcomes SEMI JOIN {groups} USING ({GROUP_KEYS})) AS own
        FULL JOIN (
            SELECT asking.user_id, group_key, item_id, max(grade) AS grade
            FROM {groups} AS asking JOIN positives
            ON asking.user_id = positives.user_id AND time >= asked
               AND time < least(asked + '{seconds!r}'::DOUBLE, '{float(end)!r}'::DOUBLE)
            WHERE asks GROUP BY ALL
        ) AS later USING ({GROUP_KEYS}, item_id)
        JOIN {groups} USING ({GROUP_KEYS})
    """
