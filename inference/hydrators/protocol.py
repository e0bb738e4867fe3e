"""The protocol of hydrators: a hydrator adds data to a batch that later stages read, such as the state of the users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np

from feature_repo.features.state import TimeArray, UserColumns
from inference.candidates.batch import Batch, Mask


class Hydrator(Protocol):
    """Reads data for every query; after a failure the batch stays unchanged.

    Attributes:
        name: Stage name in timings.
        mark: The mark in `degraded` if the hydrator fails.
    """

    name: ClassVar[str]
    mark: ClassVar[str]

    def __call__(self, batch: Batch, /) -> Batch:
        """Returns the batch with additional columns and the same queries."""

    def applies(self, batch: Batch, /) -> Mask:
        """Returns whether the hydrator reads data for each query [q]; it is not called for a batch without any."""
        return np.ones(len(batch), dtype=np.bool_)


class UserReader(Protocol):
    """Reads the state of users (`inference.feature_store`)."""

    def users(self, user_ids: Sequence[str], times: TimeArray) -> UserColumns:
        """Returns the state of users as of times [q]."""
