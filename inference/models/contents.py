"""Static item content for people: titles and the few columns a client draws an item with. Never a model input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

SHOWN = ("title", "category", "brand")


@dataclass(frozen=True, slots=True)
class Contents:
    """Content of m items, row i of every column is item row i.

    Attributes:
        item_ids: Ids as text [m], sorted; the row map.
        columns: Name -> text column [m], null where missing; read only at the rows a slate names.
    """

    item_ids: npt.NDArray[np.object_]
    columns: Mapping[str, pa.ChunkedArray]

    @classmethod
    def from_table(cls, table: pa.Table, item_ids: npt.NDArray[np.object_]) -> Contents:
        """Aligns a table with column `item_id` to the row map; the last row of an id counts, others are dropped."""
        places = {str(item): place for place, item in enumerate(table.column("item_id").to_pylist())}
        order = pa.array([places.get(item) for item in item_ids], type=pa.int64())
        columns = {
            name: table.column(name).take(order).cast(pa.string()) for name in SHOWN if name in table.column_names
        }
        return cls(item_ids, columns)

    def to_table(self) -> pa.Table:
        """The same as a table with `item_id` first."""
        return pa.table({"item_id": pa.array(self.item_ids.tolist(), type=pa.string()), **self.columns})

    def title(self, row: int) -> str:
        """The item's title, its id where it has none."""
        return self.text("title", row) or str(self.item_ids[row])

    def text(self, name: str, row: int) -> str | None:
        """One cell, None where missing."""
        column = self.columns.get(name)
        value: str | None = None if column is None else column[row].as_py()
        return value

    def describe(self, row: int) -> dict[str, str]:
        """What is known of the item by name; always a title."""
        known = {name: text for name in self.columns if (text := self.text(name, row))}
        return {"title": self.title(row), **known}
