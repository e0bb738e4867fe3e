"""Static item content for display: titles and a few other columns. It is never a model input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

DISPLAYED = ("title", "category", "brand")


@dataclass(frozen=True, slots=True)
class Contents:
    """Content of m items; row i of every column belongs to item row i.

    Attributes:
        item_ids: Ids as text [m], sorted; the row map.
        columns: Name -> text column [m], null if missing; read only at the rows of a slate.
    """

    item_ids: npt.NDArray[np.object_]
    columns: Mapping[str, pa.ChunkedArray]

    @classmethod
    def from_table(cls, table: pa.Table, item_ids: npt.NDArray[np.object_]) -> Contents:
        """Aligns a table with `item_id` to the row map; the last row of an id counts, unknown ids are dropped."""
        places = {str(item): place for place, item in enumerate(table.column("item_id").to_pylist())}
        order = pa.array([places.get(item) for item in item_ids], type=pa.int64())
        columns = {
            name: table.column(name).take(order).cast(pa.string()) for name in DISPLAYED if name in table.column_names
        }
        return cls(item_ids, columns)

    def to_table(self) -> pa.Table:
        """Returns the content as a table with `item_id` as the first column."""
        return pa.table({"item_id": pa.array(self.item_ids.tolist(), type=pa.string()), **self.columns})

    def title(self, row: int) -> str:
        """Returns the item's title, or its id if it has no title."""
        return self.text("title", row) or str(self.item_ids[row])

    def text(self, name: str, row: int) -> str | None:
        """Returns one cell, None if it is missing."""
        column = self.columns.get(name)
        value: str | None = None if column is None else column[row].as_py()
        return value

    def describe(self, row: int) -> dict[str, str]:
        """Returns the item's content by column name; a title is always included."""
        known = {name: text for name in self.columns if (text := self.text(name, row))}
        return {"title": self.title(row), **known}
