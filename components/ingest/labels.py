"""Grades of events and labels of impressions, by the dataset's objectives.

Owns how an impression learns what became of it: by label columns of its own, else through request_id and item_id.
Refuses nothing; where neither says anything the label is null in every row.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from components.ingest.expressions import literal, quoted
from feature_repo.dataset import DatasetConfig
from feature_repo.tables import label_column


def with_grades(select: str, config: DatasetConfig) -> str:
    """Wraps a SELECT of interactions to add `grade`."""
    cases = [f"WHEN {literal(kind)} THEN {grade}" for kind, grade in config.event_grades.items()]
    return f"SELECT *, CASE event_type {' '.join(cases)} ELSE 0 END AS grade FROM ({select})"


def read_outcomes(connection: duckdb.DuckDBPyConnection, interactions: Path, config: DatasetConfig) -> bool:
    """Makes the temporary table `outcomes`: what happened to each (request_id, item_id) in prepared interactions.

    Returns:
        Whether any interaction has a request, so that labels can be joined at all.
    """
    flags = [
        f"bool_or(event_type IN ({', '.join(map(literal, kinds))})) AS {quoted(label_column(objective))}"
        for objective, kinds in config.objectives.items()
    ]
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE outcomes AS SELECT request_id, item_id, {', '.join(flags)}, "
        f"bool_or(grade < 0) AS turned_down FROM read_parquet({literal(str(interactions))}) "
        "WHERE request_id IS NOT NULL AND item_id IS NOT NULL GROUP BY request_id, item_id"
    )
    found = connection.execute("SELECT count(*) FROM outcomes").fetchone()
    return bool(found and found[0])


def with_labels(select: str, config: DatasetConfig, own: dict[str, bool], *, joined: bool) -> str:
    """Wraps a SELECT of impressions to fill labels that are joined and to add `grade`.

    Args:
        select: SELECT with a column `label_<objective>` for each objective, null where not its own.
        config: Objectives.
        own: Objective -> whether its labels are columns of the impressions.
        joined: Whether `outcomes` has anything to join.
    """
    labels = {objective: quoted(label_column(objective)) for objective in config.objective_names}
    filled = [
        f"CAST(coalesce(outcomes.{label}, false) AS TINYINT) AS {label}"
        for objective, label in labels.items()
        if joined and not own[objective]
    ]
    replaced = f"shown.* REPLACE ({', '.join(filled)})" if filled else "shown.*"
    cases = [f"WHEN {label} = 1 THEN {grade}" for grade, label in reversed(list(enumerate(labels.values(), start=1)))]
    return (
        f"SELECT * EXCLUDE (turned_down), CASE WHEN turned_down THEN -1 {' '.join(cases)} ELSE 0 END AS grade FROM "
        f"(SELECT {replaced}, outcomes.turned_down FROM ({select}) AS shown "
        "LEFT JOIN outcomes ON shown.request_id = outcomes.request_id AND shown.item_id = outcomes.item_id)"
    )
