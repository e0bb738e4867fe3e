"""Earlier towers as the start of a later fit: a run fits once from scratch, and later cutoffs train the result further.

A second fit from scratch costs as much as the first and ends no better: the further epochs of the earlier towers see
the same events. What the earlier towers have not seen are the items since; these start from the vector of an unknown
item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.retrieval.log import codes_of
from components.retrieval.model import TrainableTowers, TrainingData


@dataclass(frozen=True, slots=True)
class Trained:
    """Fitted towers.

    Attributes:
        towers: Both networks.
        own_ids: Ids of the items with an id embedding, in the order of its rows from 1.
        epochs: Number of epochs behind the weights.
        num_examples: Number of examples of an epoch.
        curve: See `Fit`.
    """

    towers: TrainableTowers
    own_ids: Sequence[str]
    epochs: int
    num_examples: int
    curve: tuple[tuple[int, float, float], ...] = ()


def continued(before: Trained, item_ids: npt.NDArray[np.object_], data: TrainingData, seed: int) -> TrainableTowers:
    """Towers for later data with the weights of earlier ones.

    Args:
        before: Towers fitted on earlier events, with the same feature set.
        item_ids: The row map [m].
        data: The later training data; its items may be other ones.
        seed: Seed of the dropout in the further training.
    """
    weights = before.towers.weights()
    table = weights["items.ids.weight"]
    own = np.flatnonzero(data.item_index)
    known = codes_of(pa.array(item_ids[own], type=pa.string()), list(before.own_ids))  # 0 if new
    rows = np.zeros(len(own) + 1, dtype=np.int64)
    rows[data.item_index[own]] = known
    weights["items.ids.weight"] = table[before.towers.tensor(rows)]
    towers = TrainableTowers(replace(before.towers.config, num_item_ids=len(own)), seed)
    towers.load_weights(weights)
    return towers
