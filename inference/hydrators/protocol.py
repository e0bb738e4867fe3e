"""What a hydrator is: it adds to a batch what the later stages read, such as the state of the users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np

from feature_repo.features.state import TimeArray, UserColumns
from inference.candidates.batch import Batch, Mask


class Hydrator(Protocol):
    """Reads something for every query; a failure leaves the batch as it was.

    Attributes:
        name: Stage name in timings.
        mark: What `degraded` says where it failed.
    """

    name: ClassVar[str]
    mark: ClassVar[str]

    def __call__(self, batch: Batch, /) -> Batch:
        """The batch with more columns; the queries stay as they are."""

    def applies(self, batch: Batch, /) -> Mask:
        """The queries [q] it reads something for; a batch without any is not handed in."""
        return np.ones(len(batch), dtype=np.bool_)


class UserReader(Protocol):
    """Where the state of users comes from (`inference.feature_store`)."""

    def users(self, user_ids: Sequence[str], times: TimeArray) -> UserColumns:
        """State of users as of times [q]."""
