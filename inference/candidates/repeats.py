"""The rule for recommending a user's own items again: the dataset's `[recommend] repeats`, over the whole history."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import OwnItems


def ruled_out(own: OwnItems, feature_set: FeatureSet) -> npt.NDArray[np.bool_]:
    """Returns whether each of the users' own items must not be recommended again [n].

    never: items with a positive event are ruled out. until-converted: items that reached the strongest objective are
    ruled out. always: no item is ruled out.
    """
    if feature_set.repeats == "always":
        return np.zeros(len(own.rows), dtype=np.bool_)
    least = 1 if feature_set.repeats == "never" else len(feature_set.objectives)
    return own.grades >= least
