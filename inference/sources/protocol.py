"""What a source is: it answers a batch of queries with item rows, best first, and says in words why.

A source declares everything that belongs to it: name, default quota, reach, weight, the reason sentence, and the parts
of a bundle that it reads. It does not know the other sources. `sources/__init__.py` lists them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import IntArray
from inference.candidates.batch import Batch, Mask
from inference.candidates.found import Found
from inference.models.artifacts import Artifacts
from inference.models.part import Part


class Source(Protocol):
    """One way to candidates; subclass it to inherit the defaults.

    Attributes:
        name: Its name in `FeatureSet.sources`, in the configuration, metrics and the log.
        quota: Items it may bring to a query, unless the configuration says otherwise.
        reach: Length of the list it scores candidates of other sources by; 0 where that is its quota.
        weight: Its weight in the merged order.
        parts: The data it reads.
        artifacts: The release it answers from.
    """

    name: ClassVar[str]
    quota: ClassVar[int]
    reach: ClassVar[int] = 0
    weight: ClassVar[float] = 1.0
    parts: ClassVar[tuple[type[Part], ...]] = ()

    artifacts: Artifacts

    def __init__(self, artifacts: Artifacts) -> None: ...

    def __call__(self, batch: Batch, k: int, /) -> Found:
        """At most `k` items for each query."""

    def reasons(self, batch: Batch, place: int, rows: IntArray, /) -> Sequence[str | None]:
        """A sentence for each of some items that this source ranked best.

        Args:
            batch: The queries.
            place: Which of them.
            rows: Item rows [n].

        Returns:
            n sentences a person understands; None where the source has no reason that is true: the slate then gives
            the fallback's.
        """

    def applies(self, batch: Batch, /) -> Mask:
        """The queries [q] that the source has something for; the others are not asked or get nothing."""
        return np.ones(len(batch), dtype=np.bool_)

    def weights(self, batch: Batch, /) -> npt.NDArray[np.float64]:
        """Weight of the source in the merged order of each query [q]."""
        return np.full(len(batch), self.artifacts.config.weights.get(self.name, self.weight))


class FallbackSource(Source, Protocol):
    """The source that fills slates which the others leave short, down to the last item of the catalogue."""

    @property
    def everything(self) -> IntArray:
        """Every item row, best first [m]."""

    def shares(self, rows: IntArray, /) -> npt.NDArray[np.float32]:
        """The source's own score of any items [n]."""
