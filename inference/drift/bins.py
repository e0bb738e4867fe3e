"""How values of a column are counted: deciles of quantities, a table of categories, and a bin for what is missing.

Owns edges and which bin a value falls into; the drift reference keeps them and the drift job counts with them, so that
both sides of a comparison are cut at the same places. Refuses to look at what it is compared with.

Deciles alone see differences that nobody would: rates are drawn to a prior that moves a little every day, and the tenth
of all users who have only the prior would jump from one bin into the next. So quantities are counted with a tolerance
of 2 %: each value as a third of itself, of a bit less and of a bit more. Edges lie midway between observed values, so
that whole numbers stay where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, model_validator

NUM_BINS = 10
TOLERANCE = 0.02  # of a value, or of the span between the first and the last decile where that is less
NEXT_TO = 1e-9  # what lies beside a value whose tolerance is 0
SHIFTS = (-1.0, 0.0, 1.0)  # tolerances by which a value is moved to be counted
MOST_CATEGORIES = 20  # the rest counts as one: a figure over hundreds of rare values is chance
MISSING, OTHER = "missing", "other"
UNKNOWN = "missing or new"  # of categories: a value that the vocabulary lacks has no code either
MOST_DIGITS = 9  # of an edge in words

Values = npt.NDArray[Any]
Numbers = npt.NDArray[np.float64]


class Bins(BaseModel):
    """Bins of one column.

    Quantities: bin i holds edges[i - 1] < value <= edges[i], the last one what is above. A value that takes up a decile
    of its own (zeros of a count) lies between two edges. Categories: one bin a value, then all other values. The last
    bin of both is for what is missing (NaN, infinite).

    Attributes:
        edges: Ascending; of quantities.
        span: Between the first and the last decile; of quantities.
        values: Codes of the categories; empty for quantities.
        names: The categories in words.
        categorical: Which of the two it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    edges: tuple[float, ...] = ()
    span: float = 0.0
    values: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    categorical: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges of bins are not ascending")
        if len(self.values) != len(self.names):
            raise ValueError("every category has a name")
        return self

    def __len__(self) -> int:
        return (len(self.values) if self.categorical else len(self.edges)) + 2

    @classmethod
    def deciles(cls, values: Values) -> Self:
        """Bins of quantities [n]: edges at the nine deciles of what is finite.

        An edge within the tolerance of the one before it is left out.
        """
        known = np.asarray(values, dtype=np.float64)
        distinct, times = np.unique(known[np.isfinite(known)], return_counts=True)
        if not len(distinct):
            return cls()
        ranks = np.ceil(np.arange(1, NUM_BINS) / NUM_BINS * times.sum() - 1e-9)
        at, repeated = np.unique(np.searchsorted(np.cumsum(times), ranks), return_counts=True)
        span = float(distinct[at[-1]] - distinct[at[0]])
        slack = _slack(distinct, span)
        # Beyond the first and the last value lie edges too: a column that was constant may move either way.
        below = np.array([distinct[0] - 2 * slack[0] - 2 * NEXT_TO, *distinct[:-1]])
        above = np.array([*distinct[1:], distinct[-1] + 2 * slack[-1] + 2 * NEXT_TO])
        edges = np.unique([*(distinct + above)[at] / 2, *(distinct + below)[at[repeated > 1]] / 2])
        kept = [edges[0]]
        for edge in edges[1:]:
            if edge - kept[-1] > _slack(edge, span):
                kept.append(edge)
        return cls(edges=tuple(map(float, kept)), span=span)

    @classmethod
    def table(cls, values: Values, names: dict[float, str] | None = None) -> Self:
        """Bins of categories [n]: the most frequent `MOST_CATEGORIES`, ties by code.

        Args:
            values: Codes; NaN is missing.
            names: Code -> word; the number itself where it has none.
        """
        known = np.asarray(values, dtype=np.float64)
        found, times = np.unique(known[np.isfinite(known)], return_counts=True)
        kept = found[np.lexsort((found, -times))][:MOST_CATEGORIES].tolist()
        return cls(
            values=tuple(kept), names=tuple((names or {}).get(code, f"{code:g}") for code in kept), categorical=True
        )

    def count(self, values: Values) -> npt.NDArray[np.int64]:
        """Units in each bin [len(self)]; each quantity counts `len(SHIFTS)` times, a little moved each time."""
        given = np.asarray(values, dtype=np.float64)
        given = np.where(np.isfinite(given), given, np.nan)
        if self.categorical:
            return np.bincount(self._of_category(given), minlength=len(self))
        slack = _slack(given, self.span)
        counts = [np.bincount(self._of_quantity(given + shift * slack), minlength=len(self)) for shift in SHIFTS]
        return np.asarray(np.sum(counts, axis=0), dtype=np.int64)

    def labels(self) -> tuple[str, ...]:
        """The bins in words."""
        if self.categorical:
            return (*self.names, OTHER, UNKNOWN)
        if not self.edges:
            return ("any value", MISSING)
        words = _words(self.edges)
        between = [f"{low} to {high}" for low, high in pairwise(words)]
        return (f"up to {words[0]}", *between, f"above {words[-1]}", MISSING)

    def _of_quantity(self, values: Numbers) -> npt.NDArray[np.int64]:
        places = np.searchsorted(self.edges, values, side="left")
        return np.where(np.isnan(values), len(self) - 1, places).astype(np.int64)

    def _of_category(self, values: Numbers) -> npt.NDArray[np.int64]:
        places = np.full(len(values), len(self.values), dtype=np.int64)
        for place, value in enumerate(self.values):
            places[values == value] = place
        places[np.isnan(values)] = len(self) - 1
        return places


def _words(edges: Sequence[float]) -> list[str]:
    """Numbers as short as they can be told apart, in full where they are large."""
    shown = [number if abs(number) > 2 * NEXT_TO else 0.0 for number in edges]
    words: list[str] = []
    for digits in range(3, MOST_DIGITS + 1):
        words = [f"{number:.{digits}g}" if abs(number) < 10**digits else f"{number:.0f}" for number in shown]
        if len(set(words)) == len(set(shown)):
            break
    return words


def _slack(values: Any, span: float) -> Any:
    """By how much each value may differ and count as the same."""
    size = np.abs(values)
    return TOLERANCE * (np.minimum(size, span) if span > 0 else size)
