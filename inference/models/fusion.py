"""Learned weights of the retrieval order: a weighted reciprocal rank fusion for each length of a user's history.

score = sum over sources s and constants k of weight[segment, s, k] / (k + rank_s), rank from 1. Several constants let a
source count much at its first places and little below them. No weight is negative, so a better rank never lowers a
score. Reciprocal rank fusion with one constant and equal weights: Cormack, Clarke, Buettcher (SIGIR 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, model_validator

from feature_repo.errors import BundleError
from feature_repo.features.state import FloatArray

FUSION_FILE = "fusion.json"
FUSED = "fusion"  # the order of a segment, or of a release, that several sources decide

FloatArray64 = npt.NDArray[np.float64]


class FusionSegment(BaseModel):
    """The weights of users with a similar number of events.

    Attributes:
        shortest: Smallest number of events in the history of these users; the next segment's number ends the segment.
        order: The source that alone decides the order, or `FUSED`.
        weights: Source -> weight of each constant. A source that does not decide the order keeps a minute weight, so
            that its items follow in its order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shortest: int
    order: str
    weights: dict[str, tuple[NonNegativeFloat, ...]]


class Fusion(BaseModel):
    """The learned retrieval order.

    Attributes:
        constants: k of each weight of a source.
        segments: In order of `shortest`, which is 0 in the first segment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    constants: tuple[PositiveFloat, ...]
    segments: tuple[FusionSegment, ...]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        starts = [segment.shortest for segment in self.segments]
        if not starts or starts[0] != 0 or any(later <= earlier for earlier, later in pairwise(starts)):
            raise ValueError(f"the segments start at {starts}, they must start at 0 and ascend")
        for segment in self.segments:
            for source, weights in segment.weights.items():
                if len(weights) != len(self.constants):
                    raise ValueError(f"{source} has {len(weights)} weights, there are {len(self.constants)} constants")
        return self

    @classmethod
    def load(cls, directory: Path) -> Self | None:
        """Reads the fusion of a ranker's folder, None if the folder has none.

        Raises:
            BundleError: The file is damaged.
        """
        path = directory / FUSION_FILE
        if not path.is_file():
            return None
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BundleError(f"The fusion {path} cannot be read ({error}): train again.") from error

    @property
    def order(self) -> str:
        """The source that alone decides the order of all users, else `FUSED`."""
        orders = {segment.order for segment in self.segments}
        return orders.pop() if len(orders) == 1 else FUSED

    @property
    def smallest(self) -> float:
        """The smallest sum of the weights of a source in any segment."""
        return min(sum(weights) for segment in self.segments for weights in segment.weights.values())

    def segments_of(self, lengths: npt.NDArray[np.integer] | npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
        """Segment of users with histories of these lengths [n]."""
        starts = [segment.shortest for segment in self.segments]
        return np.asarray(np.searchsorted(starts, lengths, side="right") - 1, dtype=np.int64)

    def table(self, sources: Sequence[str]) -> FloatArray64:
        """The weights [segments, sources, constants]; 0 for a source without weights."""
        none = (0.0,) * len(self.constants)
        return np.array([[segment.weights.get(name, none) for name in sources] for segment in self.segments])

    def scores(
        self, ranks: FloatArray, segments: npt.NDArray[np.integer] | int, sources: Sequence[str]
    ) -> FloatArray64:
        """The fused score of candidates [n].

        Args:
            ranks: Rank by each source from 0 [n, sources], NaN without a rank.
            segments: Segment of each candidate [n], or of all of them.
            sources: Names of the columns of `ranks`.
        """
        weights = self.table(sources)[segments]
        place = np.where(np.isnan(ranks), np.inf, ranks).astype(np.float64) + 1.0
        total = np.zeros(len(ranks))
        for column, constant in enumerate(self.constants):
            total += (weights[..., column] / (constant + place)).sum(axis=1)
        return total
