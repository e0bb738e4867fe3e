"""Computes statistics of every prepared table with TensorFlow Data Validation and compares them with the stored schema.

`python -m components.validation.tfdv.statistics TABLES OUT STORE [--page FILE]` runs in the environment of TFDV (Python
3.11, pyarrow 10, numpy 1.26); in the cluster the same code runs in the component's image. It writes `statistics.json`
and its page. Anomalies do not stop a run here; the gate decides (`gate.require_schema`).
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from components.validation.pages.statistics_page import statistics_page
from components.validation.tfdv.columns import EVENT_TIME, present, read_sample, record_batch, unix_seconds
from components.validation.tfdv.drift import Drift, Spans, measure_drift
from components.validation.tfdv.engine import generate
from components.validation.tfdv.schema import (
    SCHEMA_FOLDER,
    Anomaly,
    anomalies,
    append_columns,
    keep_schema,
    kept_schemas,
    known_columns,
    without_columns,
)
from components.validation.tfdv.summary import summarise
from feature_repo.command import Command
from feature_repo.progress import say
from feature_repo.storage.files import read_json, write_json, write_text

TABLES = ("interactions", "items", "users", "impressions")
STATISTICS_FILE = "statistics.json"


def run_statistics(
    tables_dir: Path | str, out_dir: Path | str, store: Path | str, page_path: Path | str | None = None
) -> dict[str, Any]:
    """Computes the statistics, compares them with the schemas, and writes the reports.

    Args:
        tables_dir: Clean prepared tables.
        out_dir: Receives statistics.json (and statistics.html, without `page_path`).
        store: Holds the schemas under `schema/`; missing schemas are inferred.
        page_path: The HTML page to write.

    Returns:
        The content of statistics.json.

    Raises:
        QualityError: A stored schema is not valid any more.
    """
    tables_dir, out_dir = Path(tables_dir), Path(out_dir)
    description = read_json(tables_dir / "dataset.json")
    spans = Spans.of(description["split"])
    tables: dict[str, Any] = {}
    found: list[Anomaly] = []
    drift: list[Drift] = []
    with kept_schemas(str(store)) as schema_dir:
        for table in TABLES:
            say(f"statistics of {table}: {description['num'][table]:,} rows")
            num_own = int(description["num_own"][table])
            tables[table], broken, moved = _one_table(table, tables_dir, schema_dir, spans, num_own)
            found += broken
            drift += moved
    content = {
        "dataset": description["name"],
        "fingerprint": description["fingerprint"],
        "schema_dir": f"{store}/{SCHEMA_FOLDER}",
        "spans": asdict(spans),
        "tables": tables,
        "anomalies": [asdict(anomaly) for anomaly in found],
        "drift": [asdict(one) for one in drift],
    }
    write_json(out_dir / STATISTICS_FILE, content)
    write_text(page_path or out_dir / "statistics.html", statistics_page(content))
    errors = sum(anomaly.severity == "error" for anomaly in found)
    say(f"statistics: {errors} anomalies, {sum(one.drifted for one in drift)} of {len(drift)} columns drifted")
    return content


def _one_table(
    table: str, tables_dir: Path, schema_dir: Path, spans: Spans, num_own: int
) -> tuple[dict[str, Any], list[Anomaly], list[Drift]]:
    """The entry of a table in statistics.json, its anomalies, and its drift.

    Only the dataset's own rows are compared with the schema, if there are any: a client of the servers could otherwise
    post rows that stop each training.
    """
    path = schema_dir / f"{table}.pbtxt"
    sample, num_rows = read_sample(tables_dir / f"{table}.parquet")
    facts: dict[str, Any] = {
        "rows": num_rows,
        "sampled": sample.num_rows,
        "schema": path.name,
        "schema_is_new": False,
        "columns": [],
    }
    if not num_rows:
        gone = "the table is empty, but its schema expects rows"
        return facts, [Anomaly(table, "*", "error", "EMPTY", gone)] if path.is_file() else [], []
    columns = present(sample, spans.end)
    statistics = generate(record_batch(columns))
    own_columns, own_statistics = _own(sample, columns, statistics, spans, num_own)
    schema, is_new = keep_schema(table, own_statistics, schema_dir)
    found = anomalies(table, own_statistics, without_columns(schema, columns.keys() - own_columns.keys()))
    unseen = [name for name in own_columns if name not in known_columns(schema)]
    if unseen:
        append_columns(table, unseen, own_statistics, schema_dir)
    drift = (
        measure_drift(table, columns, unix_seconds(sample), spans, schema) if EVENT_TIME in sample.column_names else []
    )
    return facts | {"schema_is_new": is_new, "columns": summarise(statistics, columns)}, found, drift


def _own(
    sample: pa.Table, columns: dict[str, pa.Array], statistics: Any, spans: Spans, num_own: int
) -> tuple[dict[str, pa.Array], Any]:
    """Columns and statistics of the dataset's own rows; those of all rows if the log has all or none of them."""
    own = np.asarray(sample["row"].to_numpy()) < num_own
    if own.all() or not own.any():
        return columns, statistics
    own_columns = present(sample.filter(pa.array(own)), spans.end)
    return own_columns, generate(record_batch(own_columns))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Entry point; an error ends the process with one sentence."""
    parser.add_argument("tables", type=Path, help="prepared tables, clean")
    parser.add_argument("out", type=Path, help="directory for statistics.json")
    parser.add_argument("store", help="the dataset's store, which keeps the schemas")
    parser.add_argument("--page", type=Path, default=None, help="the report; OUT/statistics.html by default")


def work(options: argparse.Namespace) -> None:
    """Computes the statistics that the options ask for."""
    run_statistics(options.tables, options.out, options.store, options.page)


main = Command("components.validation.tfdv.statistics", __doc__, work, add_arguments)


if __name__ == "__main__":
    main()
