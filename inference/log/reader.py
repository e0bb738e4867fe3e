"""Reads the rows of a span from a log, and the time of its latest row, in a local directory or on s3://.

The reader selects the hour folders of a span and reads an event that was posted twice once. A part or row that cannot
be used is left out and reported. A part that may not be opened raises an error that names the part.
"""

from __future__ import annotations

import math
import time
from collections import Counter
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
from feature_repo.progress import say
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
from inference.log.usability import conformed, in_words, usable

Keep = Callable[[pa.Table], pa.Table]


def read_impressions(
    log: str, start: float, end: float, columns: Sequence[str] | None = None, keep: Keep | None = None
) -> pa.Table:
    """The impressions of a span in order of time; rows of a request are contiguous, sorted by position.

    Args:
        log: The log's directory or s3:// URL; a log that does not exist yet is empty.
        start: Unix seconds; rows at this time are not part of the span.
        end: Unix seconds; the last time of the span.
        columns: Wanted columns; all by default. A column is null where parts of other feature sets lack it.
        keep: Selects the wanted rows of a part, given the rows with these columns, so that a span larger than the
            memory can be read.

    Raises:
        DatasetError: A part may not be opened.
        StorageError: A remote log cannot be reached.
    """
    table = _read(log, IMPRESSIONS, start, end, columns, IMPRESSIONS_SCHEMA, keep)
    keys = [name for name in ("timestamp", "request_id", "position") if name in table.column_names]
    return table.sort_by([(name, "ascending") for name in keys]) if keys else table


def read_interactions(
    log: str, start: float, end: float, columns: Sequence[str] | None = None, keep: Keep | None = None
) -> pa.Table:
    """Events of a span in order of time, each `event_id` once: the earliest row counts.

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

    Rows more than a day after the wall clock are ignored, as in a dataset, because a clock may have been wrong.

    Raises:
        DatasetError: A part may not be opened.
        StorageError: A remote log cannot be reached.
    """
    ends = [_latest(log, table) for table in (IMPRESSIONS, INTERACTIONS)]
    return max((end for end in ends if end is not None), default=None)


def latest_impression(log: str) -> float | None:
    """Time of the latest slate, whose timestamps come from servers, not clients; otherwise as `latest`."""
    return _latest(log, IMPRESSIONS)


def local_log(log: str, scratch: Path, start: float = -math.inf, end: float = math.inf) -> Path:
    """A local directory with the parts of a log that hold rows of a span.

    Args:
        log: The log's directory, which is returned unchanged, or s3:// URL.
        scratch: Receives the parts of a remote log; parts that are already there are not downloaded again.
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
    """Rows of a span, in the order of the parts' hours and names; a remote log is downloaded hour by hour."""
    folder = open_folder(log)
    places = _places(folder, table, start, end)
    needed = None if columns is None else list(dict.fromkeys([*columns, "timestamp"]))
    # The columns that every log has come first, even if no part names them.
    empty = (schema if needed is None else pa.schema([_field(schema, name) for name in needed])).empty_table()
    parts = [empty]
    left_out, unreadable = Counter[str](), list[str]()
    for place in places:
        with _parts(folder, place) as paths:
            for path in paths:
                part = usable(_span(_part(path, needed, schema, unreadable), start, end), table, left_out)
                parts.append(keep(_joined([empty, part])) if keep else part)
    if said := in_words(table, left_out, unreadable):
        say(said)
    whole = _joined(parts)
    return whole if columns is None else whole.select(list(columns))


def _latest(log: str, table: str) -> float | None:
    """Latest time of a table; reads the newest hour first, so that a long log is not read completely."""
    folder, horizon = open_folder(log), time.time() + DAY
    unreadable: list[str] = []
    for place in reversed(_places(folder, table, -math.inf, horizon)):
        with _parts(folder, place) as paths:
            parts = [_part(path, ["timestamp"], IMPRESSIONS_SCHEMA, unreadable) for path in paths]
            times = [unix_seconds(part["timestamp"]) for part in parts]
        known = np.concatenate([np.zeros(0), *times])
        known = known[known <= horizon]
        if len(known):
            return float(known.max())
    return None


@contextmanager
def _parts(folder: Folder, place: str) -> Iterator[list[Path]]:
    """The parts of an hour as local files, by name; parts of a remote log are deleted after the block."""
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


def _part(path: Path, columns: Sequence[str] | None, schema: pa.Schema, unreadable: list[str]) -> pa.Table:
    """The rows of a part with the log's types; no rows, and an entry in `unreadable`, if the part cannot be read."""
    try:
        with pq.ParquetFile(path) as file:
            present = file.schema_arrow.names
            if "timestamp" not in present:
                raise pa.ArrowInvalid("it has no column timestamp")
            if len(set(present)) < len(present):
                raise pa.ArrowInvalid("it has several columns of a name")
            wanted = None if columns is None else [name for name in columns if name in present]
            return conformed(file.read(wanted), schema)
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise DatasetError(f"{path} of the log cannot be opened: {error.strerror}.") from error
        unreadable.append(f"{path} ({str(error).partition(chr(10))[0].rstrip('.')})")
        return pa.schema([schema.field("timestamp")]).empty_table()


def _joined(parts: Sequence[pa.Table]) -> pa.Table:
    """The parts as a single table; a column that a part lacks is null."""
    return pa.concat_tables(parts, promote_options="default")


def _span(table: pa.Table, start: float, end: float) -> pa.Table:
    times = unix_seconds(table["timestamp"])
    inside = (times > start) & (times <= end)
    return table if inside.all() else table.filter(pa.array(inside))


def _field(schema: pa.Schema, name: str) -> pa.Field:
    """Type of a column; columns that only some feature sets have are float32."""
    return schema.field(name) if name in schema.names else pa.field(name, pa.float32())
