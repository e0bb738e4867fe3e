"""Which of a user's own items may come again: the dataset's `[recommend] repeats`, applied over the whole history."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import OwnItems


def ruled_out(own: OwnItems, feature_set: FeatureSet) -> npt.NDArray[np.bool_]:
    """Whether each own item may not be recommended again [n].

    never: none with a positive event; until-converted: none that reached the strongest objective; always: none is
    ruled out.
    """
    if feature_set.repeats == "always":
        return np.zeros(len(own.rows), dtype=np.bool_)
    least = 1 if feature_set.repeats == "never" else len(feature_set.objectives)
    return own.grades >= least
