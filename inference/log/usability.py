"""Keeps the rows of a part of the log that can be used, and counts the others by reason.

Servers check each event, but anything may write to the folder of a log, so no reader trusts its rows. The rule for ids
and context values is that of `feature_repo/dataset/values.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.dataset.contract import REQUIRED_COLUMNS
from feature_repo.dataset.values import CONTROL_CHARACTERS, text_lengths

UNREADABLE = "the part cannot be read"
FEATURE_SET_PREFIXES = ("feature_", "p_")  # see `impressions.impressions_schema`


def conformed(part: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of a log, with its types; numbers of a feature set are float32, and other columns are dropped.

    Raises:
        pa.ArrowException: A column has another type, whose values cannot be converted.
    """
    names = [name for name in part.column_names if name in schema.names or name.startswith(FEATURE_SET_PREFIXES)]
    fields = [schema.field(name) if name in schema.names else pa.field(name, pa.float32()) for name in names]
    return pa.table([_cast(part[field.name], field.type) for field in fields], schema=pa.schema(fields))


def usable(part: pa.Table, table: str, left_out: Counter[str]) -> pa.Table:
    """The rows of a part whose required columns can be used.

    Optional ids and context values that cannot be used become null.

    Args:
        part: Rows of a part, some or all columns.
        table: impressions or interactions.
        left_out: Receives the number of other rows, by reason.
    """
    kept = np.ones(part.num_rows, dtype=np.bool_)
    for name in REQUIRED_COLUMNS[table]:
        if name in part.column_names:
            kept &= ~_counted(pc.is_null(part[name]), kept, f"{name} is missing", left_out)
    for name, most in text_lengths(table).items():
        if name not in part.column_names:
            continue
        bad = pc.or_(pc.greater(pc.utf8_length(part[name]), most), _has_control_character(part[name]))
        if name in REQUIRED_COLUMNS[table]:
            kept &= ~_counted(bad, kept, f"{name} has over {most} characters or a control character", left_out)
        elif pc.any(bad).as_py():
            place = part.schema.get_field_index(name)
            part = part.set_column(place, part.schema.field(name), pc.if_else(bad, None, part[name]))
    return part if kept.all() else part.filter(pa.array(kept))


def in_words(table: str, left_out: Counter[str], unreadable: Iterable[str]) -> str:
    """One line about everything that was left out of a table; "" if nothing was."""
    reasons = [f"{reason} in {count:,}" for reason, count in left_out.most_common()]
    parts = [f"{UNREADABLE}: {part}" for part in unreadable]
    return f"the log of {table} has rows that are left out: {'; '.join(parts + reasons)}" if parts or reasons else ""


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if column.type.equals(kind):
        return column
    given, is_time = column.type, pa.types.is_timestamp(kind)
    is_number = pa.types.is_integer(given) or pa.types.is_floating(given) or pa.types.is_null(given)
    if (pa.types.is_floating(kind) and not is_number) or (is_time and not pa.types.is_temporal(given)):
        raise pa.ArrowInvalid(f"a column is {given}, not {kind}")
    return pc.cast(column, kind, safe=not (pa.types.is_floating(kind) or is_time))


def _has_control_character(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.match_substring_regex(texts, CONTROL_CHARACTERS)


def _counted(
    bad: pa.ChunkedArray, kept: npt.NDArray[np.bool_], reason: str, left_out: Counter[str]
) -> npt.NDArray[np.bool_]:
    """The bad rows as a mask [n]; counts those among the kept rows."""
    mask: npt.NDArray[np.bool_] = np.asarray(pc.fill_null(bad, False).to_numpy(zero_copy_only=False), dtype=np.bool_)
    num = int(np.count_nonzero(mask & kept))
    if num:
        left_out[reason] += num
    return mask
