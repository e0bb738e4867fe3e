"""Which of the users' own items must not be recommended again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from feature_repo.dataset.repeats import least_ruled_out
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import OwnItems
from inference.candidates.ragged import owners_from_offsets


def ruled_out(own: OwnItems, feature_set: FeatureSet) -> npt.NDArray[np.bool_]:
    """Returns whether each of the users' own items must not be recommended again [n]; see `least_ruled_out`."""
    mask: npt.NDArray[np.bool_] = own.grades >= least_ruled_out(feature_set.repeats, len(feature_set.objectives))
    return mask


def ruled_out_keys(own: OwnItems, feature_set: FeatureSet, num_items: int) -> npt.NDArray[np.int64]:
    """Returns query * num_items + row of each own item that must not be recommended again, ascending [n]."""
    barred = ruled_out(own, feature_set)
    keys: npt.NDArray[np.int64] = (owners_from_offsets(own.offsets) * num_items + own.rows)[barred]
    return keys
