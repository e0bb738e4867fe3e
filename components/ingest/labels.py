"""Grades of events and labels of impressions, according to the dataset's objectives.

An impression of the dataset takes its labels from label columns if the file has them, else from a join over user_id,
request_id and item_id. Impressions of the served log are always joined. Without either source the label is null in
every row of the dataset, or of the log. The join includes the user, because some logs number the requests of every user
from 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from components.ingest.reading.expressions import quoted
from feature_repo.dataset.config import DatasetConfig
from feature_repo.dataset.tables import label_column
from feature_repo.storage.quoting import literal, parquet_scan

JOIN_KEYS = "user_id, request_id, item_id"


@dataclass(frozen=True)
class Labels:
    """Where labels of impressions come from.

    Attributes:
        config: Holds the objectives.
        num_own: Number of impressions of the dataset; they precede the log's impressions.
        num_rows: Number of impressions of dataset and log.
        columns: Objectives whose labels are columns of the dataset's impressions.
        joined_own: Whether any interaction of the dataset has a request_id, which a join needs.
        joined_served: Whether any interaction of dataset or log has a request_id.
    """

    config: DatasetConfig
    num_own: int
    num_rows: int
    columns: frozenset[str]
    joined_own: bool = False
    joined_served: bool = False

    def of_own(self, objective: str) -> str:
        """The source of a label of the dataset's impressions: column, joined or absent."""
        return "column" if objective in self.columns else "joined" if self.joined_own else "absent"

    def sources(self) -> dict[str, str]:
        """Objective -> column, joined, absent, or "column, joined" if only the log's labels are joined."""
        served = self.joined_served and self.num_rows > self.num_own
        found = {}
        for objective in self.config.objective_names:
            own = self.of_own(objective)
            if served and own != "joined":
                own = "column, joined" if own == "column" and self.num_own else "joined"
            found[objective] = own
        return found


def with_grades(select: str, config: DatasetConfig) -> str:
    """Wraps a SELECT of interactions to add `grade`."""
    cases = [f"WHEN {literal(kind)} THEN {grade}" for kind, grade in config.event_grades.items()]
    return f"SELECT *, CASE event_type {' '.join(cases)} ELSE 0 END AS grade FROM ({select})"


def read_outcomes(connection: duckdb.DuckDBPyConnection, interactions: Path, labels: Labels, num_own: int) -> Labels:
    """Creates the temporary table `outcomes`: the events of each (user_id, request_id, item_id) in interactions.

    Args:
        connection: Receives the table.
        interactions: The prepared table.
        labels: Holds the objectives.
        num_own: Number of interactions of the dataset; they precede the log's interactions.

    Returns:
        The labels, with `joined_own` and `joined_served` set.
    """
    flags = [
        f"bool_or(event_type IN ({', '.join(map(literal, kinds))})) AS {quoted(label_column(objective))}"
        for objective, kinds in labels.config.objectives.items()
    ]
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE outcomes AS SELECT {JOIN_KEYS}, {', '.join(flags)}, "
        f"bool_or(grade < 0) AS turned_down, bool_or(row < {num_own}) AS of_own "
        f"FROM {parquet_scan(interactions)} "
        f"WHERE user_id IS NOT NULL AND request_id IS NOT NULL AND item_id IS NOT NULL GROUP BY {JOIN_KEYS}"
    )
    found = connection.execute("SELECT count(*) FILTER (of_own), count(*) FROM outcomes").fetchone() or (0, 0)
    return replace(labels, joined_own=found[0] > 0, joined_served=found[1] > 0)


def with_labels(select: str, labels: Labels) -> str:
    """Wraps a SELECT of impressions to fill labels that are joined and to add `grade`.

    Args:
        select: SELECT with a column `label_<objective>` for each objective, null where the source has no such column.
        labels: The source of each label; `outcomes` is the table to join.
    """
    names = {objective: quoted(label_column(objective)) for objective in labels.config.objective_names}
    filled = [f"{_filled(labels, objective, name)} AS {name}" for objective, name in names.items()]
    cases = [f"WHEN {name} = 1 THEN {grade}" for grade, name in reversed(list(enumerate(names.values(), start=1)))]
    return (
        f"SELECT * EXCLUDE (turned_down), CASE WHEN turned_down THEN -1 {' '.join(cases)} ELSE 0 END AS grade FROM "
        f"(SELECT shown.* REPLACE ({', '.join(filled)}), outcomes.turned_down FROM ({select}) AS shown "
        f"LEFT JOIN outcomes USING ({JOIN_KEYS}))"
    )


def _filled(labels: Labels, objective: str, name: str) -> str:
    """SQL of a label: column or join for rows of the dataset, join for rows of the log."""
    joined = f"CAST(coalesce(outcomes.{name}, false) AS TINYINT)"
    own = joined if labels.of_own(objective) == "joined" else f"shown.{name}"
    served = joined if labels.joined_served else "NULL"
    return own if own == served else f"CASE WHEN shown.row < {labels.num_own} THEN {own} ELSE {served} END"
