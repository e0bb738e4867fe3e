"""The rule for recommending a user's own items again: `[recommend] repeats` of `dataset.toml`.

Filters, sources, training examples and the evaluation all apply it through `least_ruled_out`, over the whole history.
"""

from __future__ import annotations

import math
from typing import Literal

Repeats = Literal["never", "until-converted", "always"]


def least_ruled_out(repeats: str, num_objectives: int) -> float:
    """Least grade a user has to have reached with an item for the item not to be recommended again.

    Args:
        repeats: never rules out items with a positive event; until-converted those that reached the strongest
            objective; always none.
        num_objectives: Number of objectives, which is the grade of the strongest one.

    Returns:
        1, the strongest grade, or infinity, which no grade reaches.
    """
    return {"never": 1.0, "until-converted": float(num_objectives)}.get(repeats, math.inf)
