"""Events of users, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from components.marketplace.world.catalogue import Ints
from components.marketplace.world.chance import FloatColumn

KINDS = ("click", "cart", "purchase", "return", "share")
CLICK, CART, PURCHASE, RETURN, SHARE = range(len(KINDS))


@dataclass(frozen=True, slots=True)
class SimulatedEvents:
    """n events.

    Attributes:
        users, items: Rows of the population and the catalogue [n].
        kinds: Codes into KINDS [n].
        times: Unix seconds to the microsecond [n].
        slates, positions: Index of the slate that led to the event, and the position in it [n]; -1 if the user
            returned without a slate.
        prices: Unit price on the day of the event [n].
        quantities: Number of units [n].
    """

    users: Ints
    items: Ints
    kinds: npt.NDArray[np.int8]
    times: FloatColumn
    slates: Ints
    positions: Ints
    prices: FloatColumn
    quantities: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.users)

    def take(self, index: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> SimulatedEvents:
        """The events at the positions `index`, or where the mask `index` is true."""
        return SimulatedEvents(*(getattr(self, column.name)[index] for column in fields(self)))


def concatenate(parts: Sequence[SimulatedEvents]) -> SimulatedEvents:
    """All events of the parts, one after the other; at least one part."""
    return SimulatedEvents(
        *(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(SimulatedEvents))
    )
