"""The protocol of sources: a source answers a batch of queries with item rows, best first, and writes the reasons.

A source declares everything that belongs to it: name, default quota, reach, weight, the reason sentence, and the parts
of a bundle that it reads. Sources do not depend on each other. `sources/__init__.py` lists them.
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
    """Finds candidates in one way; subclass it to inherit the defaults.

    Attributes:
        name: Name in `FeatureSet.sources`, in the configuration, in metrics and in the log.
        quota: Default number of items per query; the configuration can change it.
        reach: Length of the list that scores candidates of other sources; 0 means the quota.
        weight: Weight in the merged order.
        seeded: Whether the source answers queries for items similar to a seed item.
        parts: Classes of the data that the source reads.
        artifacts: The release that the source reads.
    """

    name: ClassVar[str]
    quota: ClassVar[int]
    reach: ClassVar[int] = 0
    weight: ClassVar[float] = 1.0
    seeded: ClassVar[bool] = False
    parts: ClassVar[tuple[type[Part], ...]] = ()

    artifacts: Artifacts

    def __init__(self, artifacts: Artifacts) -> None: ...

    def __call__(self, batch: Batch, k: int, /) -> Found:
        """Returns at most `k` items for each query."""

    def reasons(self, batch: Batch, place: int, rows: IntArray, /) -> Sequence[str | None]:
        """Returns a sentence for each of some items that this source ranked best.

        Args:
            batch: The queries.
            place: Index of the query.
            rows: Item rows [n].

        Returns:
            n sentences for users; None if the source has no true reason. The slate then shows the fallback's sentence.
        """

    def applies(self, batch: Batch, /) -> Mask:
        """Returns whether the source can find items for each query [q]; the other queries get no items."""
        return np.ones(len(batch), dtype=np.bool_)

    def weights(self, batch: Batch, /) -> npt.NDArray[np.float64]:
        """Returns the weight of the source in the merged order of each query [q]."""
        return np.full(len(batch), self.artifacts.config.weights.get(self.name, self.weight))


class FallbackSource(Source, Protocol):
    """The source that fills slates for which the other sources find too few items; it ranks the whole catalogue."""

    @property
    def everything(self) -> IntArray:
        """All item rows, best first [m]."""

    def shares(self, rows: IntArray, /) -> npt.NDArray[np.float32]:
        """Returns the source's own score of any items [n]."""
