"""Turns a dataset directory into prepared tables.

The order of the work: configuration, file footers, tables, description. All files are written to a staging folder and
moved to the output at the end, `dataset.json` last. An unusable dataset therefore leaves the output unchanged.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from components.ingest.description import Origin, describe_tables
from components.ingest.file_faults import find_fault
from components.ingest.labels import Labels, read_outcomes, with_grades, with_labels
from components.ingest.preparation import connect, label_columns, prepare, repeated_events
from components.ingest.remarks import remarks
from components.ingest.served_parts import LeftOut
from components.ingest.sources import (
    TableSource,
    dataset_fingerprint,
    one_line,
    parts_digest,
    read_source,
)
from components.ingest.times import time_warnings
from feature_repo.dataset.config import DatasetConfig
from feature_repo.dataset.contract import TABLES
from feature_repo.dataset.tables import DESCRIPTION_FILE
from feature_repo.errors import DatasetError, is_full_disk
from feature_repo.progress import say, waiting
from inference.log.reader import local_log


class _PartDamaged(Exception):
    """The rows of a part of the log cannot be read."""

    def __init__(self, part: LeftOut) -> None:
        super().__init__(f"{part.path}: {part.reason}")
        self.part = part


def ingest(
    dataset_dir: Path | str, out_dir: Path | str, now: float | None = None, *, log: Path | str = ""
) -> dict[str, Any]:
    """Reads a dataset directory (contract 1), and the log that servers wrote since, into prepared tables.

    Every row is kept, bad rows included: the row rules quarantine them later. Only events that were logged twice, and
    rows of the log that cannot be read, are left out and reported.

    Args:
        dataset_dir: Holds `dataset.toml` and the tables.
        out_dir: Directory for the prepared tables; earlier tables are replaced.
        now: The wall clock in unix seconds, to recognise rows dated years ahead; None reads the clock.
        log: A log (contract 5), a directory or URL; "" for no log. A log that does not exist yet is empty. Parts that
            appear while the log is read are left for the next run.

    Returns:
        The content of `dataset.json`.

    Raises:
        DatasetError: The dataset or the log cannot be used; `out_dir` is unchanged.
        StorageError: A remote log cannot be reached.
    """
    dataset_dir, out_dir = Path(dataset_dir), Path(out_dir)
    config = DatasetConfig.load(dataset_dir)
    with _staging(out_dir) as staging:
        parts = local_log(str(log), staging / "log") if str(log) else None
        damaged: list[LeftOut] = []
        while True:  # only reading the rows of a part shows whether they are damaged
            try:
                description = _ingest(dataset_dir, parts, config, staging, now, damaged)
                break
            except _PartDamaged as error:
                damaged.append(error.part)
    for kind, count in description["context_event_types"].items():
        fate = "is kept as context" if config.events.allowed is None else "is not in events.allowed"
        say(f"event type {kind!r} ({count} rows) fulfils no objective and {fate}")
    return description


def _ingest(
    dataset_dir: Path,
    log: Path | None,
    config: DatasetConfig,
    staging: Path,
    now: float | None,
    damaged: Sequence[LeftOut],
) -> dict[str, Any]:
    """Writes tables and description into `staging`."""
    sources = {table: read_source(dataset_dir, table, log, damaged) for table in TABLES}
    interactions = sources["interactions"]
    for remark in remarks(dataset_dir, sources, config):
        say(remark)
    if not interactions.own:
        raise DatasetError(f"{interactions.path} is missing: a dataset needs interactions.")
    if not interactions.num_own:
        raise DatasetError(f"{interactions.path} is empty: it has no row to learn from.")
    fingerprint = dataset_fingerprint(dataset_dir)
    if log is not None:  # only of the parts that are read: servers may have added parts since
        files = [file for source in sources.values() for group in source.served for file in group.files]
        fingerprint += parts_digest({str(file.name): file.path.stat().st_size for file in files})
    labels, num_repeated = _prepare_all(sources, config, staging)
    warnings = time_warnings(staging, sources, config, now)
    for warning in warnings:
        say(f"warning: {warning}")
    origin = Origin(
        fingerprint=fingerprint,
        label_sources=labels.sources(),
        num_own={table: source.num_own for table, source in sources.items()},
        num_repeated_events=num_repeated,
        warnings=warnings,
    )
    return describe_tables(staging, config, origin, now)


def _prepare_all(sources: dict[str, TableSource], config: DatasetConfig, staging: Path) -> tuple[Labels, int]:
    """Writes the four tables into `staging`; returns the label sources and how many events were logged twice."""
    shown = sources["impressions"]
    labels = Labels(config, shown.num_own, shown.num_rows, columns=label_columns(shown, config))
    with connect(staging / "spill") as connection:
        events = sources["interactions"]
        with _named(events), waiting("searching for repeated events"):
            num_repeated = repeated_events(connection, events, config)
        for table, source in sources.items():
            served = source.num_rows - source.num_own
            say(f"reading {table}: {source.num_own} rows" + (f", and {served} rows of the log" if served else ""))
            target = staging / f"{table}.parquet"
            with _named(source), waiting(f"preparing {table}", lambda: connection.query_progress() / 100):
                prepare(connection, source, config, target, _derivation(table, config, labels))
                if table == "interactions":
                    labels = read_outcomes(connection, target, labels, source.num_own)
    if num_repeated:
        say(f"{num_repeated} rows of the log repeat an event_id and are left out")
    return labels, num_repeated


def _derivation(table: str, config: DatasetConfig, labels: Labels) -> Callable[[str], str]:
    """A function that adds derived columns to the SELECT of a table, and drops events that were logged twice."""
    if table == "interactions":
        return lambda select: (
            f"SELECT * FROM ({with_grades(select, config)}) WHERE row NOT IN (SELECT row FROM repeated)"
        )
    if table == "impressions":
        return lambda select: with_labels(select, labels)
    return lambda select: select


@contextmanager
def _named(source: TableSource) -> Iterator[None]:
    """Turns DuckDB's error about a damaged file into a one-sentence `DatasetError`, or names the part of the log."""
    try:
        yield
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException, duckdb.InternalError):
        raise  # a defect in this code, not in the file
    except duckdb.Error as error:
        if is_full_disk(str(error)):
            raise  # nothing is wrong with the source
        fault = find_fault(source, error)
        if fault is None:
            raise DatasetError(f"{source.path} cannot be read: {one_line(error)}.") from error
        if any(file.path == fault.path for group in source.served for file in group.files):
            raise _PartDamaged(LeftOut(fault.path, "its rows are damaged")) from error
        raise DatasetError(fault.sentence) from error


@contextmanager
def _staging(out_dir: Path) -> Iterator[Path]:
    """A folder next to `out_dir`; its tables replace the tables in `out_dir` when the block succeeds."""
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out_dir.name}-", dir=out_dir.parent))
    try:
        yield staging
        out_dir.mkdir(exist_ok=True)
        (out_dir / DESCRIPTION_FILE).unlink(missing_ok=True)  # no description until the tables are complete
        for name in [*(f"{table}.parquet" for table in TABLES), DESCRIPTION_FILE]:
            (staging / name).replace(out_dir / name)
    finally:
        shutil.rmtree(staging)
