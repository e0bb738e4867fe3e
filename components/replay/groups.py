"""Selects the queries that the ranker learns from, with the outcomes of each.

A group is a user's request if the log has slates, else a user's session, else a user's day. If only the servers' own
log has slates, its requests are groups and the rest of the log contributes sessions. A group holds only outcomes within
the span that is read (`outcomes.py`); its grades may also count what the user liked later in the span (`horizon.py`).
Its query has the time of the first of them; it sees the user's events before that time and the state of the last cut.
LambdaMART learns nothing from silent groups, in which nothing was liked. Probabilities need them for the true rates, so
they are sampled at the same rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.replay.horizon import Horizon, create_groups, graded_query
from components.replay.outcomes import GROUP_KEYS
from feature_repo.dataset.repeats import least_ruled_out
from feature_repo.dataset.tables import PreparedTables, label_column
from feature_repo.storage.quoting import parquet_scan
from inference.candidates.query import Query

MOST_DRAWN = 4  # most groups per group that counts: a query costs the same for a silent group


@dataclass(frozen=True, slots=True)
class Groups:
    """g queries in order of time and the outcomes of each, flattened.

    Attributes:
        queries: The query of each group [g].
        offsets: Outcomes of group i are `offsets[i]:offsets[i + 1]` [g + 1].
        item_ids: Items shown or acted on [n], distinct within a group.
        grades: Strongest objective reached [n], 0 for none.
        labels: 0/1 by objective, weakest first [n, num_objectives].
        shown: Whether the impressions contain the item [n].
        positions: Position in the slate, -1 if unknown [n].
        propensities: Probability that the log's policy showed the item at its position, NaN if unknown [n].
    """

    queries: list[Query]
    offsets: npt.NDArray[np.int64]
    item_ids: npt.NDArray[np.object_]
    grades: npt.NDArray[np.int8]
    labels: npt.NDArray[np.int8]
    shown: npt.NDArray[np.bool_]
    positions: npt.NDArray[np.int32]
    propensities: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.queries)

    def num_shown(self) -> list[int]:
        """Number of items that the log shows in each group [g], 0 if it has no slate of the group."""
        before = np.concatenate([[0], np.cumsum(self.shown)])
        counts: list[int] = (before[self.offsets[1:]] - before[self.offsets[:-1]]).tolist()
        return counts

    def take(self, places: npt.NDArray[np.integer]) -> Groups:
        """The groups at the given places, in the given order."""
        counts = np.diff(self.offsets)[places]
        offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        at = np.arange(offsets[-1]) + np.repeat(self.offsets[places] - offsets[:-1], counts)
        return Groups(
            queries=[self.queries[place] for place in places],
            offsets=offsets,
            item_ids=self.item_ids[at],
            grades=self.grades[at],
            labels=self.labels[at],
            shown=self.shown[at],
            positions=self.positions[at],
            propensities=self.propensities[at],
        )


def read_groups(
    tables: PreparedTables,
    start: float,
    end: float,
    *,
    limit: int,
    seed: int,
    count_silent: bool = True,
    horizon: Horizon | None = None,
) -> Groups:
    """Reads the groups of a span, in order of time.

    Args:
        tables: Clean prepared tables.
        start: Unix seconds; earlier outcomes do not count.
        end: Unix seconds; outcomes at or after it do not count.
        limit: Maximum number of groups; a hash of the group's key and the seed selects the sample.
        seed: Seed of the sample.
        count_silent: Whether silent groups count towards the limit. If not, they are added at the rate of the others,
            up to `MOST_DRAWN` times the limit in total.
        horizon: The question that the grades answer; by default which items of the group itself were liked.
    """
    objectives = tables.objectives
    with _groups(tables, start, end, horizon) as connection:
        connection.execute(
            f"""
            CREATE TABLE picked AS
            FROM (SELECT *, hash(concat_ws('|', user_id, group_key, $seed::VARCHAR)) AS draw FROM groups)
            QUALIFY count_if({"true" if count_silent else "liked"})
                    OVER (ORDER BY draw, {GROUP_KEYS} ROWS UNBOUNDED PRECEDING) <= $limit
            ORDER BY draw, {GROUP_KEYS} LIMIT $most
            """,
            {"seed": seed, "limit": limit, "most": MOST_DRAWN * limit},
        )
        rows = connection.sql(
            f"""
            SELECT asked, {GROUP_KEYS}, surface, device, country,
                   item_id, grade, shown, position, propensity, {", ".join(map(label_column, objectives))}
            FROM picked JOIN ({graded_query(tables, "picked", end, horizon)}) USING ({GROUP_KEYS})
            ORDER BY asked, {GROUP_KEYS}, item_id
            """
        ).to_arrow_table()
    return _to_groups(rows, objectives)


def count_liked(tables: PreparedTables, start: float, end: float) -> tuple[int, int]:
    """Counts the groups that `read_groups` draws from and that have a liked item, without a horizon.

    Returns:
        Number of these groups, and of those with a liked item that may still be recommended: `repeats` of dataset.toml
        rules out what the user had before the span.
    """
    least = least_ruled_out(tables.config.recommend.repeats, len(tables.objectives))
    with _groups(tables, start, end, None) as connection:
        liked, allowed = connection.execute(
            f"""
            WITH had AS (
                SELECT DISTINCT user_id, item_id, true AS before FROM interactions
                WHERE grade >= $least::DOUBLE AND epoch(timestamp) < $start
            )
            SELECT count(DISTINCT ({GROUP_KEYS})), count(DISTINCT ({GROUP_KEYS})) FILTER (before IS NULL)
            FROM outcomes LEFT JOIN had USING (user_id, item_id) WHERE outcomes.grade > 0
            """,
            {"least": least, "start": start},
        ).fetchall()[0]
    return liked, allowed


@contextmanager
def _groups(
    tables: PreparedTables, start: float, end: float, horizon: Horizon | None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the tables of `create_groups`."""
    with duckdb.connect(config={"threads": 2}) as connection:
        for table in ("interactions", "impressions"):
            connection.sql(f"FROM {parquet_scan(tables.path(table))}").create_view(table)
        create_groups(connection, tables, start, end, horizon)
        yield connection


def _to_groups(rows: pa.Table, objectives: tuple[str, ...]) -> Groups:
    """Converts flat rows, sorted by group, to queries with their outcomes."""
    keys = rows.select(["asked", "user_id", "group_key"]).to_pylist()
    starts = [i for i, key in enumerate(keys) if i == 0 or key != keys[i - 1]]
    context = rows.select(["surface", "device", "country"]).take(pa.array(starts, pa.int64())).to_pylist()
    queries = [
        Query(
            user_id=keys[i]["user_id"],
            time=keys[i]["asked"],
            surface=known["surface"] or "home",
            request_id=keys[i]["group_key"],
            device=known["device"],
            country=known["country"],
        )
        for i, known in zip(starts, context, strict=True)
    ]
    labels = [rows[label_column(name)].to_numpy() for name in objectives]
    return Groups(
        queries=queries,
        offsets=np.array([*starts, rows.num_rows], dtype=np.int64),
        item_ids=rows["item_id"].to_numpy(zero_copy_only=False).astype(object),
        grades=rows["grade"].to_numpy(),
        labels=np.stack(labels, axis=1).reshape(rows.num_rows, len(objectives)),
        shown=rows["shown"].to_numpy(zero_copy_only=False),
        positions=rows["position"].to_numpy(),
        propensities=rows["propensity"].to_numpy().astype(np.float64),
    )
