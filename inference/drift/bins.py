"""Counts the values of a column in bins: deciles of quantities, a table of categories, and a bin for missing values.

The drift reference stores the bins and the drift job counts with them, so that both sides of a comparison use the same
edges. The edges depend only on the reference, never on the data that are compared with it.

Deciles alone would report irrelevant differences. Rates are smoothed towards a prior that changes a little every day.
The users who have only the prior, perhaps a tenth, would all move from one bin to the next. So quantities are counted
with a tolerance of 2 %: a third of a value counts at the value, a third slightly below and a third slightly above.
Edges lie midway between observed values, so that whole numbers stay in their bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, model_validator

NUM_BINS = 10
TOLERANCE = 0.02  # share of the value, or of the span between the first and the last decile if that is less
NEXT_TO = 1e-9  # distance of an edge from a value whose tolerance is 0
SHIFTS = (-1.0, 0.0, 1.0)  # tolerances by which a value is shifted for each count
MOST_CATEGORIES = 20  # the other categories share a bin, because hundreds of rare values are dominated by chance
MISSING, OTHER = "missing", "other"
UNKNOWN = "missing or new"  # for categories: a value that the vocabulary lacks has no code either
MOST_DIGITS = 9  # of an edge in a label

Values = npt.NDArray[Any]
Numbers = npt.NDArray[np.float64]


class Bins(BaseModel):
    """Bins of a column.

    Quantities: bin i holds edges[i - 1] < value <= edges[i], and the last bin all greater values. A value that fills a
    whole decile (zeros of a count) lies between two edges. Categories: a bin per value, then a bin for all other
    values. The last bin of both kinds is for missing values (NaN, infinite).

    Attributes:
        edges: Ascending edges; for quantities.
        span: Distance between the first and the last decile; for quantities.
        values: Codes of the categories; empty for quantities.
        names: Names of the categories.
        categorical: Whether these are bins of categories.
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
        """Bins of quantities [n]: edges at the nine deciles of the finite values.

        An edge within the tolerance of the previous edge is left out.
        """
        known = np.asarray(values, dtype=np.float64)
        distinct, times = np.unique(known[np.isfinite(known)], return_counts=True)
        if not len(distinct):
            return cls()
        ranks = np.ceil(np.arange(1, NUM_BINS) / NUM_BINS * times.sum() - 1e-9)
        at, repeated = np.unique(np.searchsorted(np.cumsum(times), ranks), return_counts=True)
        span = float(distinct[at[-1]] - distinct[at[0]])
        slack = _slack(distinct, span)
        # There are also edges below the first and above the last value: a constant column may move in both directions.
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
            names: Code -> name; a code without a name is written as a number.
        """
        known = np.asarray(values, dtype=np.float64)
        found, times = np.unique(known[np.isfinite(known)], return_counts=True)
        kept = found[np.lexsort((found, -times))][:MOST_CATEGORIES].tolist()
        return cls(
            values=tuple(kept), names=tuple((names or {}).get(code, f"{code:g}") for code in kept), categorical=True
        )

    def count(self, values: Values) -> npt.NDArray[np.int64]:
        """Units in each bin [len(self)]; each quantity counts `len(SHIFTS)` times, once per shift."""
        given = np.asarray(values, dtype=np.float64)
        given = np.where(np.isfinite(given), given, np.nan)
        if self.categorical:
            return np.bincount(self._of_category(given), minlength=len(self))
        slack = _slack(given, self.span)
        counts = [np.bincount(self._of_quantity(given + shift * slack), minlength=len(self)) for shift in SHIFTS]
        return np.asarray(np.sum(counts, axis=0), dtype=np.int64)

    def labels(self) -> tuple[str, ...]:
        """Labels of the bins."""
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
    """The numbers with as few digits as distinguish them; large numbers in full."""
    shown = [number if abs(number) > 2 * NEXT_TO else 0.0 for number in edges]
    words: list[str] = []
    for digits in range(3, MOST_DIGITS + 1):
        words = [f"{number:.{digits}g}" if abs(number) < 10**digits else f"{number:.0f}" for number in shown]
        if len(set(words)) == len(set(shown)):
            break
    return words


def _slack(values: Any, span: float) -> Any:
    """The tolerance of each value."""
    size = np.abs(values)
    return TOLERANCE * (np.minimum(size, span) if span > 0 else size)
