"""Random draws that depend on the event, not on the order of the calls.

Every draw of the world is a hash of (seed, stream, user, item, time). A slate therefore gets the same answer alone and
in a batch, and two worlds with the same configuration behave identically. The mixing function is splitmix64 (Steele,
Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatColumn = npt.NDArray[np.float64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)

STREAM_NAMES = (
    "catalogue population visits policy mission click cart purchase quantity share delay "
    "revisit revisit_delay return return_delay restock restock_delay defects bots missing"
)
STREAMS = {name: index for index, name in enumerate(STREAM_NAMES.split())}


def generator(seed: int, stream: str, *keys: int) -> np.random.Generator:
    """A sequential generator, for draws whose order is fixed (users, items, the visits of a day)."""
    return np.random.default_rng([seed, STREAMS[stream], *keys])


def uniform(seed: int, stream: str, *keys: npt.NDArray[Any]) -> FloatColumn:
    """Uniform draws in (0, 1) for each row of the integer key columns [n]."""
    state = np.uint64(seed * len(STREAMS) + STREAMS[stream] + 1) * np.ones(1, dtype=np.uint64)
    for key in keys:
        state = _mix(state ^ (np.asarray(key).astype(np.int64).view(np.uint64) + GOLDEN))
    return ((state >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def microseconds(times: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Unix seconds as whole microseconds, the resolution of the log."""
    return np.rint(times * 1e6).astype(np.int64)


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = state + GOLDEN
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: npt.NDArray[np.uint64] = state ^ (state >> np.uint64(31))
    return mixed
