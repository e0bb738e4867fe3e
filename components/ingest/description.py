"""Writes `dataset.json`: the content of a prepared directory, and where its time axis begins, splits and ends.

Later steps rely on these figures without checking them. The row checks of `validation` write the file again for clean
tables. Tables without a usable row, or without a clean event that fulfils an objective, raise `DatasetError`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, Self

import duckdb
import numpy as np
from pydantic import BaseModel, ConfigDict

from components.ingest.reading.durations import measure_time_scales
from components.ingest.usability import unusable_text, unusable_values
from feature_repo.dataset.config import DatasetConfig
from feature_repo.dataset.contract import REQUIRED_COLUMNS, TABLES
from feature_repo.dataset.split import clean_span, make_split
from feature_repo.dataset.tables import DESCRIPTION_FILE
from feature_repo.dataset.values import CONTEXT_LENGTH
from feature_repo.errors import DatasetError
from feature_repo.storage.files import write_json
from feature_repo.storage.quoting import literal, parquet_scan


class Origin(BaseModel):
    """Where prepared rows came from; the tables themselves do not record it.

    Attributes:
        fingerprint: Fingerprint of the source files, see `dataset_fingerprint`.
        label_sources: Objective -> column, joined, absent, or "column, joined": where labels of impressions come from.
        num_own: Table -> number of rows of the dataset. Rows with a smaller `row` belong to the dataset, all others
            to the log.
        num_repeated_events: Rows of the log left out because their event_id appears earlier.
        warnings: Sentences about implausible times.
    """

    model_config = ConfigDict(frozen=True)

    fingerprint: str
    label_sources: Mapping[str, str]
    num_own: Mapping[str, int]
    num_repeated_events: int = 0
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, description: Mapping[str, Any]) -> Self:
        """Reads the origin from the content of a `dataset.json`."""
        return cls.model_validate({name: description[name] for name in cls.model_fields})


def describe_tables(
    directory: Path,
    config: DatasetConfig,
    origin: Origin,
    now: float | None = None,
    *,
    are_clean: bool = False,
    joins: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Writes `dataset.json` next to the prepared tables, as the last file.

    The log's start and end are the first and the latest clean timestamp of interactions and impressions. Bad rows that
    are not quarantined yet do not move them.

    Args:
        directory: Holds the four prepared tables.
        config: The dataset's configuration.
        origin: Where the rows came from.
        now: The wall clock in unix seconds; None reads the clock.
        joins: Join -> share of matching rows, if they were measured.
        are_clean: Whether bad rows are already quarantined, so that every remaining row lies within the log.

    Returns:
        The content of the file.

    Raises:
        DatasetError: No interaction is usable, or no clean interaction fulfils an objective.
    """
    now = time.time() if now is None else now
    with duckdb.connect(config={"threads": 2, "memory_limit": "2GB"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in TABLES:
            scan = parquet_scan(directory / f"{table}.parquet")
            connection.execute(f"CREATE VIEW {table} AS SELECT * FROM {scan}")
        first, last = _span(connection, "interactions", _usable_interaction(config), now, are_clean=are_clean)
        if math.isnan(first):
            _refuse_all(connection, config)
        span = f"epoch_us(timestamp) BETWEEN {round(first * 1e6)} AND {round(last * 1e6)}"
        clean = f"{_usable_interaction(config)} AND {span}"
        _check_objectives(connection, config, clean)
        shown_first, shown_last = _span(connection, "impressions", USABLE_IMPRESSION, now, are_clean=are_clean)
        log_start, log_end = float(np.nanmin([first, shown_first])), float(np.nanmax([last, shown_last]))
        scales = measure_time_scales(connection, clean)
        description = {
            "name": config.name,
            "config": config.model_dump(mode="json"),
            **origin.model_dump(mode="json"),
            "objectives": list(config.objective_names),
            "log_start": log_start,
            "log_end": log_end,
            "time_scales": scales.model_dump(),
            "split": make_split(config, log_start, log_end, scales.item_life).model_dump(),
            "num": {table: _number(connection, f"SELECT count(*) FROM {table}") for table in TABLES},
            "context_event_types": _context_types(connection, config),
            "joins": dict(joins or {}),
            "has_slates": bool(_number(connection, _has_slates())),
            "has_own_slates": bool(_number(connection, _has_slates(f"row < {origin.num_own['impressions']}"))),
            "has_positions": bool(_number(connection, "SELECT count(position) > 0 FROM impressions")),
        }
    write_json(directory / DESCRIPTION_FILE, description)
    return description


USABLE_IMPRESSION = (
    "user_id IS NOT NULL AND item_id IS NOT NULL AND request_id IS NOT NULL AND timestamp IS NOT NULL "
    f"AND NOT coalesce({' OR '.join(unusable_values('impressions').values())}, false)"
)


def _has_slates(which: str = "true") -> str:
    """Query: does any request of a user, among the impressions that match a condition, show more than one item?"""
    return (
        f"SELECT EXISTS (SELECT 1 FROM impressions WHERE request_id IS NOT NULL AND item_id IS NOT NULL AND {which} "
        "GROUP BY user_id, request_id HAVING count(DISTINCT item_id) > 1)"
    )


def _usable_interaction(config: DatasetConfig) -> str:
    """SQL condition of interactions that the row rules keep, apart from duplicates and outlying times."""
    known = config.known_event_types
    kept = "" if known is None else f" AND event_type IN ({', '.join(map(literal, sorted(known)))})"
    bad = " OR ".join(unusable_values("interactions").values())
    return (
        "user_id IS NOT NULL AND item_id IS NOT NULL AND event_type IS NOT NULL AND timestamp IS NOT NULL "
        f"AND NOT coalesce({bad}, false){kept}"
    )


def _refuse_all(connection: duckdb.DuckDBPyConnection, config: DatasetConfig) -> NoReturn:
    """Raises an error that lists the faults of unusable interactions, most frequent fault first."""
    faults = {f"{column} is missing": f"{column} IS NULL" for column in REQUIRED_COLUMNS["interactions"]}
    faults |= unusable_values("interactions")
    if config.known_event_types is not None:
        kinds = sorted(config.known_event_types)
        words = f"event_type is not one of {', '.join(kinds)} (the types that dataset.toml names)"
        faults[words] = f"event_type NOT IN ({', '.join(map(literal, kinds))})"
    counts = ", ".join(f"count(*) FILTER ({condition})" for condition in faults.values())
    total, *found = connection.execute(f"SELECT count(*), {counts} FROM interactions").fetchall()[0]
    worst = sorted(zip(found, faults, strict=True), key=lambda each: -each[0])
    named = "; ".join(f"{words} in {count:,}" for count, words in worst if count)
    raise DatasetError(
        f"Interactions hold no usable row among {total:,}: "
        f"{named or 'every timestamp is more than a day after the wall clock'}."
    )


def _span(
    connection: duckdb.DuckDBPyConnection, table: str, usable: str, now: float, *, are_clean: bool
) -> tuple[float, float]:
    if are_clean:
        ends = f"SELECT epoch_us(min(timestamp)), epoch_us(max(timestamp)) FROM {table}"
        first, last = connection.execute(ends).fetchall()[0]
        return (math.nan, math.nan) if first is None else (first / 1e6, last / 1e6)
    micros = connection.execute(f"SELECT epoch_us(timestamp) AS micros FROM {table} WHERE {usable}").fetchnumpy()[
        "micros"
    ]
    return clean_span(np.asarray(micros, dtype=np.float64) / 1e6, now)


def _check_objectives(connection: duckdb.DuckDBPyConnection, config: DatasetConfig, clean: str) -> None:
    rows = f"FROM interactions WHERE {clean}"
    if _number(connection, f"SELECT count(*) FROM (SELECT 1 {rows} AND grade > 0 LIMIT 1)"):
        return
    common = f"SELECT event_type {rows} GROUP BY event_type ORDER BY count(*) DESC, event_type LIMIT 5"
    found = ", ".join(str(kind) for (kind,) in connection.execute(common).fetchall())
    wanted = ", ".join(kind for kinds in config.objectives.values() for kind in kinds)
    raise DatasetError(
        f"No clean row of interactions fulfils an objective: [objectives] in dataset.toml wants {wanted}, "
        f"the log's event types are {found}."
    )


def _context_types(connection: duckdb.DuckDBPyConnection, config: DatasetConfig) -> dict[str, int]:
    """Usable event types of grade 0 that dataset.toml does not mention -> number of rows, most frequent type first."""
    allowed = config.events.allowed or ()
    usable = f"NOT {unusable_text('event_type', CONTEXT_LENGTH)}"
    rows = connection.execute(
        f"SELECT event_type, count(*) FROM interactions WHERE grade = 0 AND {usable} "
        "GROUP BY event_type ORDER BY count(*) DESC, event_type LIMIT 100"
    ).fetchall()
    return {kind: int(count) for kind, count in rows if kind not in allowed}


def _number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
