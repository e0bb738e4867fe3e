"""Reads a log back: rows of a span, and until when it goes; of a local directory or an s3:// one.

Owns which folders a span needs, and that an event posted twice is read once. Refuses a part that cannot be read, in a
sentence that names it: parts are written whole, so a damaged one is a damaged disk.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.dataset.split import DAY
from feature_repo.dataset.tables import unix_seconds
from feature_repo.errors import DatasetError
from feature_repo.storage.folder import Folder, local_path, open_folder
from inference.log.layout import (
    HOUR,
    IMPRESSIONS,
    IMPRESSIONS_SCHEMA,
    INTERACTIONS,
    INTERACTIONS_SCHEMA,
    hour_of,
    is_part,
)

Keep = Callable[[pa.Table], pa.Table]


def read_impressions(
    log: str, start: float, end: float, columns: Sequence[str] | None = None, keep: Keep | None = None
) -> pa.Table:
    """What was shown in a span, in order of time; a request's rows stand together, by position.

    Args:
        log: A log's directory or s3:// URL; one that does not exist yet holds nothing.
        start: Unix seconds, not of the span itself.
        end: Unix seconds, the last of the span.
        columns: Columns wanted; all by default. Where parts of other feature sets lack one, it is null.
        keep: Rows of a part with these columns -> those of them that are wanted, so that a span may be read of which
            memory has no room for all.

    Raises:
        DatasetError: A part cannot be read.
        StorageError: A remote log cannot be reached.
    """
    table = _read(log, IMPRESSIONS, start, end, columns, IMPRESSIONS_SCHEMA, keep)
    keys = [name for name in ("timestamp", "request_id", "position") if name in table.column_names]
    return table.sort_by([(name, "ascending") for name in keys]) if keys else table


def read_interactions(
    log: str, start: float, end: float, columns: Sequence[str] | None = None, keep: Keep | None = None
) -> pa.Table:
    """Events of a span, in order of time, each `event_id` once: the earliest row counts.

    Arguments and errors are those of `read_impressions`.
    """
    wanted = list(INTERACTIONS_SCHEMA.names if columns is None else columns)
    needed = list(dict.fromkeys([*wanted, "timestamp", "event_id"]))
    table = _read(log, INTERACTIONS, start, end, needed, INTERACTIONS_SCHEMA, keep).sort_by("timestamp")
    ids = table["event_id"].combine_chunks().dictionary_encode()
    _, first = np.unique(ids.indices.fill_null(-1).to_numpy(), return_index=True)
    once = np.zeros(table.num_rows, dtype=np.bool_)
    once[first] = True
    once |= pc.is_null(table["event_id"]).to_numpy()
    return table.filter(pa.array(once)).select(wanted)


def latest(log: str) -> float | None:
    """Time of the log's latest row, unix seconds; None for an empty log.

    What lies over a day past the wall clock is outlying, as in a dataset: a clock that was wrong once moves nothing.

    Raises:
        DatasetError: A part cannot be read.
        StorageError: A remote log cannot be reached.
    """
    ends = [_latest(log, table) for table in (IMPRESSIONS, INTERACTIONS)]
    return max((end for end in ends if end is not None), default=None)


def latest_impression(log: str) -> float | None:
    """Time of the latest slate, which no client has dated; else as `latest`."""
    return _latest(log, IMPRESSIONS)


def local_log(log: str, scratch: Path, start: float = -math.inf, end: float = math.inf) -> Path:
    """A local directory with the parts of a log that hold rows of a span.

    Args:
        log: A log's directory, which is returned as it is, or s3:// URL.
        scratch: Receives the parts of a remote log; those already there are not fetched again.
        start: Unix seconds.
        end: Unix seconds.

    Raises:
        StorageError: A remote log cannot be reached.
    """
    directory = local_path(log)
    if directory is not None:
        return directory
    folder = open_folder(log)
    for table in (IMPRESSIONS, INTERACTIONS):
        for place in _places(folder, table, start, end):
            _fetch(folder, place, scratch)
    return scratch


def _read(
    log: str,
    table: str,
    start: float,
    end: float,
    columns: Sequence[str] | None,
    schema: pa.Schema,
    keep: Keep | None,
) -> pa.Table:
    """Rows of a span, in the order of the parts' hours and names; of a remote log an hour is here at a time."""
    folder = open_folder(log)
    places = _places(folder, table, start, end)
    needed = None if columns is None else list(dict.fromkeys([*columns, "timestamp"]))
    # The columns every log has come first, also where no part is there to name them.
    empty = (schema if needed is None else pa.schema([_field(schema, name) for name in needed])).empty_table()
    parts = [empty]
    for place in places:
        with _parts(folder, place) as paths:
            for path in paths:
                part = _span(_part(path, needed), start, end)
                parts.append(keep(_joined([empty, part])) if keep else part)
    whole = _joined(parts)
    return whole if columns is None else whole.select(list(columns))


def _latest(log: str, table: str) -> float | None:
    """Latest time of a table; newest hour first, so that a long log is not read."""
    folder, horizon = open_folder(log), time.time() + DAY
    for place in reversed(_places(folder, table, -math.inf, horizon)):
        with _parts(folder, place) as paths:
            times = [unix_seconds(_part(path, ["timestamp"])["timestamp"]) for path in paths]
        known = np.concatenate([np.zeros(0), *times])
        known = known[known <= horizon]
        if len(known):
            return float(known.max())
    return None


@contextmanager
def _parts(folder: Folder, place: str) -> Iterator[list[Path]]:
    """The parts of an hour as local files, by name; those of a remote log are gone after the block."""
    names = [name for name in folder.names(place) if is_part(name)]
    with folder.local(place, names) as directory:
        yield [directory / name for name in names]


def _places(folder: Folder, table: str, start: float, end: float) -> list[str]:
    """Folders of the hours of a table that hold rows of a span, in order of time."""
    found = []
    for date in folder.names(table):
        for hour in folder.names(f"{table}/{date}") if date.startswith("date=") else ():
            number = hour_of(f"{date}/{hour}")
            if number is not None and _meets(number, start, end):
                found.append((number, f"{table}/{date}/{hour}"))
    return [place for _, place in sorted(found)]


def _fetch(folder: Folder, place: str, scratch: Path) -> None:
    target, coming = scratch / place, scratch / place / ".coming"
    names = [name for name in folder.names(place) if is_part(name) and not (target / name).exists()]
    if names:
        folder.download(place, names, coming)
        for name in names:
            (coming / name).replace(target / name)


def _meets(hour: int, start: float, end: float) -> bool:
    return hour * HOUR <= end and (hour + 1) * HOUR > start


def _part(path: Path, columns: Sequence[str] | None) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            present = file.schema_arrow.names
            if "timestamp" not in present:
                raise pa.ArrowInvalid("it has no column timestamp")
            return file.read(None if columns is None else [name for name in columns if name in present])
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(
            f"{path} of the log cannot be read ({error}): restore it, or move it out of the log."
        ) from error


def _joined(parts: Sequence[pa.Table]) -> pa.Table:
    """Parts one after the other; where one lacks a column, it is null."""
    return pa.concat_tables(parts, promote_options="default")


def _span(table: pa.Table, start: float, end: float) -> pa.Table:
    times = unix_seconds(table["timestamp"])
    inside = (times > start) & (times <= end)
    return table if inside.all() else table.filter(pa.array(inside))


def _field(schema: pa.Schema, name: str) -> pa.Field:
    """A column's type; what only some feature sets have are float32 values."""
    return schema.field(name) if name in schema.names else pa.field(name, pa.float32())
