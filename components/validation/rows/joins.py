"""Measures how much of the clean tables matches: ids of the log with the catalogue and the users, slates with events.

Tables that match nothing are valid one by one, so no row rule finds the fault: a log that counts 7 next to a catalogue
that writes "007". The gate stops a run where a join matches nothing (`gate.py`).
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from components.ingest.labels import JOIN_KEYS
from components.validation.report import JoinExample, JoinShare
from feature_repo.dataset.contract import TABLES
from feature_repo.dataset.tables import PreparedTables
from feature_repo.storage.quoting import parquet_scan

NUM_EXAMPLES = 3
LOW_SHARE = 0.05  # of interactions; below it, the report shows examples and the run prints a warning
WORDS = {"item": "an item", "user": "a user"}
NORMALISED = r"ltrim(regexp_replace(lower(trim({0})), '\.0+$', ''), '0')"  # " 007", "7.0" and "7" are alike


def join_shares(directory: Path, tables: PreparedTables) -> tuple[JoinShare, ...]:
    """The share of matching rows of every join that the tables have.

    Args:
        directory: Holds the clean tables.
        tables: The prepared tables that were cleaned; supplies the configuration and the origin of the rows.

    Returns:
        A share for each join whose both sides have rows. Of interactions and impressions, only the dataset's own rows
        count, except for the use of items: clients of the servers must not be able to stop a run.
    """
    quality, num_own = tables.config.quality, tables.description["num_own"]
    with duckdb.connect(config={"threads": 2, "memory_limit": "2GB"}) as connection:
        for table in TABLES:
            connection.execute(f"CREATE VIEW {table} AS FROM {parquet_scan(directory / f'{table}.parquet')}")
        for view, table in (("acted", "interactions"), ("shown", "impressions")):
            connection.execute(f"CREATE VIEW {view} AS FROM {table} WHERE row < {num_own[table]}")
        found = [
            _of_ids(connection, "item", "items", quality.minimum_item_match),
            _of_ids(connection, "user", "users", quality.minimum_user_match),
            _item_use(connection, quality.minimum_item_use),
        ]
        if "joined" in tables.description["label_sources"].values():
            found.append(_impression_match(connection, quality.minimum_impression_match))
    return tuple(share for share in found if share is not None)


def _of_ids(connection: duckdb.DuckDBPyConnection, kind: str, table: str, minimum: float | None) -> JoinShare | None:
    column = f"{kind}_id"
    query = f"SELECT count(*), count(*) FILTER ({column} IN (SELECT {column} FROM {table})) FROM acted"
    total, matched = connection.execute(query).fetchall()[0]
    if not total or not _number(connection, table):
        return None
    return JoinShare(
        name=f"{kind}_match",
        words=f"interactions have {WORDS[kind]} with a row in {table}",
        matched=matched,
        total=total,
        minimum=minimum,
        examples=_unequal_ids(connection, column, table) if matched < LOW_SHARE * total else (),
    )


def _item_use(connection: duckdb.DuckDBPyConnection, minimum: float) -> JoinShare | None:
    total, matched = connection.execute(
        "SELECT count(DISTINCT item_id), count(DISTINCT item_id) FILTER (item_id IN "
        "(SELECT item_id FROM interactions UNION ALL SELECT item_id FROM impressions)) FROM items"
    ).fetchall()[0]
    if not total:
        return None
    words = "items of the catalogue are in interactions or impressions"
    return JoinShare(name="item_use", words=words, matched=matched, total=total, minimum=minimum)


def _impression_match(connection: duckdb.DuckDBPyConnection, minimum: float | None) -> JoinShare | None:
    answers = "(FROM acted WHERE request_id IS NOT NULL)"
    total = _number(connection, "shown")
    if not total or not _number(connection, answers):
        return None
    matched = _number(connection, f"shown SEMI JOIN {answers} answers USING ({JOIN_KEYS})")
    sides = [
        connection.execute(
            f"SELECT concat_ws(' / ', {JOIN_KEYS}) FROM {side} ORDER BY ALL LIMIT {NUM_EXAMPLES}"
        ).fetchall()
        for side in (answers, "shown")
    ]
    return JoinShare(
        name="impression_match",
        words="impressions have an event of the same user, request and item",
        matched=matched,
        total=total,
        minimum=minimum,
        examples=_examples(("interactions", "impressions"), sides) if not matched else (),
    )


def _unequal_ids(connection: duckdb.DuckDBPyConnection, column: str, table: str) -> tuple[JoinExample, ...]:
    """Ids of interactions and of another table: those that differ only in their spelling, else the first of each."""
    log, other = (f"(SELECT DISTINCT {column} AS id FROM {name})" for name in ("acted", table))
    alike = connection.execute(
        f"SELECT log.id, other.id FROM {log} log JOIN {other} other "
        f"ON {NORMALISED.format('log.id')} = {NORMALISED.format('other.id')} AND log.id != other.id "
        f"ORDER BY length(log.id), log.id, other.id LIMIT {NUM_EXAMPLES}"
    ).fetchall()
    if alike:
        return _examples(("interactions", table), [[(pair[place],) for pair in alike] for place in (0, 1)])
    sides = [connection.execute(f"FROM {side} ORDER BY ALL LIMIT {NUM_EXAMPLES}").fetchall() for side in (log, other)]
    return _examples(("interactions", table), sides)


def _examples(tables: tuple[str, str], sides: list[list[tuple[str]]]) -> tuple[JoinExample, ...]:
    return tuple(
        JoinExample(table=table, values=tuple(value for (value,) in rows))
        for table, rows in zip(tables, sides, strict=True)
    )


def _number(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])
