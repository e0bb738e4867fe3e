"""The values that every part can use: the bounds of numbers, and the form of ids and context values.

The only definition of both. Ingest's row rules, the API, the cursor and the readers of the log apply it, so that
everything learned from can also be requested, shown, posted and paged. The bounds leave room for sums and squares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from feature_repo.dataset.contract import CONTRACT_COLUMNS

ID_LENGTH = 256  # characters
CONTEXT_LENGTH = 64
CONTEXT_COLUMNS = ("event_type", "device", "country", "surface")
# Unicode category Cc. Python, RE2 (DuckDB, Arrow) and Java (Spark) read this pattern alike.
CONTROL_CHARACTERS = r"[\x00-\x1f\x7f-\x9f]"
_CONTROL = re.compile(CONTROL_CHARACTERS)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the greatest usable value of a number, both included."""

    least: float
    greatest: float

    def __str__(self) -> str:
        return f"between {self.least:g} and {self.greatest:g}"


# Within the range of float32, in which features are stored. The greatest float32 is a common marker of missing values.
ANY_NUMBER = Bounds(-1e38, 1e38)
NUMBER_BOUNDS: Mapping[str, Bounds] = {
    "price": Bounds(0.0, 1e12),  # whole cents are exact in a float64
    "quantity": Bounds(-1e9, 1e9),  # negative in a return
}


def has_control_character(text: str) -> bool:
    """Whether a text holds a control character, which no id and no context value may hold."""
    return _CONTROL.search(text) is not None


def text_lengths(table: str) -> dict[str, int]:
    """Ids and context values of a table: column -> greatest number of characters; the least is 1."""
    kinds = CONTRACT_COLUMNS[table]
    context = {name: CONTEXT_LENGTH for name in CONTEXT_COLUMNS if name in kinds}
    return {name: ID_LENGTH for name, kind in kinds.items() if kind == "id"} | context


def number_bounds(table: str, extras: Sequence[str] = ()) -> dict[str, Bounds]:
    """The numbers of a table: column -> bounds.

    Args:
        table: interactions, items, users or impressions.
        extras: Declared extra columns that hold numbers.
    """
    names = [name for name, kind in CONTRACT_COLUMNS[table].items() if kind == "number"]
    return {name: NUMBER_BOUNDS.get(name, ANY_NUMBER) for name in names} | dict.fromkeys(extras, ANY_NUMBER)
