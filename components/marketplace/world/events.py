"""What users do, as columns."""

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
        slates, positions: The slate of the call that led to the event and the place in it [n]; -1 where the user came
            back without one.
        prices: Unit price on the day [n].
        quantities: Count [n].
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
        """The events at `index`, or where it is true."""
        return SimulatedEvents(*(getattr(self, column.name)[index] for column in fields(self)))


def concatenate(parts: Sequence[SimulatedEvents]) -> SimulatedEvents:
    """All events of the parts, one after the other; at least one part."""
    return SimulatedEvents(
        *(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(SimulatedEvents))
    )
