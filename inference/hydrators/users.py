"""The hydrator that reads the state of the batch's users from the online store, or as of a past time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from inference.candidates.batch import Batch
from inference.hydrators.protocol import Hydrator, UserReader


@dataclass(frozen=True)
class UserHydrator(Hydrator):
    """Fills `Batch.users`. Users stay unknown if the reader does not know them or fails."""

    reader: UserReader

    name: ClassVar[str] = "users"
    mark: ClassVar[str] = "features"

    def __call__(self, batch: Batch) -> Batch:
        """Returns the batch with the state of its users as of each query's time."""
        return replace(batch, users=self.reader.users([query.user_id for query in batch.queries], batch.times))
