"""Places of a feed that belong to items without an event, fixed by training and stored in the ranker's folder.

A ranker that is judged by the first page puts items without an event behind hundreds of known items: the chance of each
single one is small, although users take many of them. From the second page on, these items therefore have a fixed
share of the places. Their order is that of the ranker.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt

from feature_repo.errors import BundleError
from feature_repo.features.state import OffsetArray
from feature_repo.storage.files import write_json
from inference.candidates.ragged import Index, owners_from_offsets, ranks

COLD_PLACES_FILE = "cold_places.json"


class ColdPlaces(BaseModel):
    """The rule: among the first p places are at least (p - after) // every items without an event, while there are any.

    Items that the ranker puts higher count too, so no more items are moved than the rule needs.

    Attributes:
        after: Number of places at the top of the list that only the ranker fills.
        every: Each `every`-th place below them is for an item without an event.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    after: NonNegativeInt
    every: PositiveInt

    @classmethod
    def load(cls, directory: Path) -> Self | None:
        """Reads the rule of a ranker's folder, None if the folder has none.

        Raises:
            BundleError: The file is damaged.
        """
        path = directory / COLD_PLACES_FILE
        if not path.is_file():
            return None
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BundleError(f"The places of new items in {path} cannot be read ({error}): train again.") from error

    def save(self, directory: Path) -> None:
        """Writes `cold_places.json` into a ranker's folder."""
        write_json(directory / COLD_PLACES_FILE, self.model_dump(mode="json"))

    def keys(
        self,
        offsets: OffsetArray,
        cold: npt.NDArray[np.bool_],
        shown: npt.NDArray[np.integer] | int = 0,
        cold_shown: npt.NDArray[np.integer] | int = 0,
    ) -> Index:
        """Number of known items that come before each item, under the rule [n].

        Known items keep their order, and so do items without an event. An item without an event comes before the known
        item with the same key.

        Args:
            offsets: Query i has the items `offsets[i]:offsets[i + 1]`, best first [q + 1].
            cold: Whether the item has no event [n].
            shown: Number of items of each query on earlier pages [q].
            cold_shown: Number of them without an event [q].
        """
        owners = owners_from_offsets(offsets)
        before = np.concatenate(([0], np.cumsum(cold)))
        rank = before[:-1] - before[offsets[:-1]][owners]  # among the items of the query without an event
        known = ranks(offsets) - rank
        start, first = (np.broadcast_to(numbers, len(offsets) - 1)[owners] for numbers in (shown, cold_shown))
        latest = self.after + (first + rank + 1) * self.every - 1 - start
        keys: Index = np.where(cold, np.minimum(known, np.maximum(latest - rank, 0)), known)
        return keys

    def order(self, offsets: OffsetArray, keys: Index, cold: npt.NDArray[np.bool_]) -> Index:
        """Indices [n] of the items in display order, query by query.

        Args:
            offsets: As for `keys`.
            keys: Result of `keys`.
            cold: As for `keys`.
        """
        return np.lexsort((~cold, keys, owners_from_offsets(offsets)))
