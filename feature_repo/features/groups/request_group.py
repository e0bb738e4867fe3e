"""The interface of a feature group of requests, and its input. No Ibis, because serving imports these groups."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt


class RequestContext(Protocol):
    """Attributes of a query that the features read (`inference.candidates.query.Query` has them)."""

    @property
    def time(self) -> float: ...
    @property
    def surface(self) -> str: ...
    @property
    def country(self) -> str | None: ...
    @property
    def device(self) -> str | None: ...
    @property
    def item_id(self) -> str | None: ...
    @property
    def last_item_id(self) -> str | None: ...
    @property
    def session_length(self) -> int | None: ...


class RequestGroup(ABC):
    """Numeric columns of the request alone; every dataset has them.

    Attributes:
        columns: Names that the group adds to the feature set, in order.
    """

    columns: tuple[str, ...]

    @abstractmethod
    def compute(self, queries: Sequence[RequestContext]) -> dict[str, npt.NDArray[np.float64]]:
        """Values of each column for q queries, by name [q]; NaN is missing."""
