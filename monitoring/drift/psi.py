"""Decile PSI as a test of Evidently's, registered under the name `kuberec_psi`.

Evidently's own `psi` cuts reference and current together into bins of equal width, so that a heavy tail (prices)
hardly moves it. This one cuts at the deciles of the reference.

    PSI = sum over bins of (current - reference) * ln(current / reference)

of shares, as in N. Siddiqi, Credit Risk Scorecards (2006). Of two samples of one distribution with n and m units and b
bins it is about (b - 1)(1/n + 1/m): B. Yurdakul, J. Naranjo, Statistical properties of the population stability index,
Journal of Risk Model Validation 14(4), 2020. With 500 units and ten bins chance alone gives 0.018 and hardly ever 0.05.

An empty bin would make it infinite. A share below `LEAST_SHARE` counts as `LEAST_SHARE`, on both sides: 0.001 is what a
sample of the least size we judge (500 units) cannot tell from nothing, and does not depend on the samples' sizes, as
half a count does: with that, 3 % of newly missing values alone were significant in a large reference. So 3 % in a bin
that was empty give 0.10, 5 % give 0.19. A bin that is empty on both sides is left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from evidently.legacy.calculations.stattests.registry import StatTest, register_stattest
from evidently.legacy.core import ColumnType
from scipy.stats import chi2

from inference.drift.bins import Bins
from monitoring.drift.report import SIGNIFICANT

LEAST_SHARE = 0.001
NAME = "kuberec_psi"


def psi(reference: npt.ArrayLike, current: npt.ArrayLike) -> float:
    """PSI of counts of the same bins [b]; both hold something.

    Args:
        reference: Units in each bin.
        current: The same of what is compared with it.
    """
    before, after = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    used = (before > 0) | (after > 0)
    before = np.maximum(before / before.sum(), LEAST_SHARE)[used]
    after = np.maximum(after / after.sum(), LEAST_SHARE)[used]
    return float(np.sum((after - before) * np.log(after / before)))


def chance(num_bins: int, num_reference: float, num_current: float) -> float:
    """PSI that two samples of one distribution hardly ever pass: once in a thousand times.

    By chance PSI is distributed as (1/n + 1/m) times chi-squared with one degree of freedom less than bins (Yurdakul
    and Naranjo, as above).

    Args:
        num_bins: Bins that hold something.
        num_reference: Units of the one sample.
        num_current: Units of the other.
    """
    if min(num_reference, num_current) == 0:
        return float("inf")
    return float(chi2.ppf(0.999, max(num_bins - 1, 1))) * (1 / num_reference + 1 / num_current)


def decile_psi(
    reference: pd.Series, current: pd.Series, feature_type: ColumnType, threshold: float
) -> tuple[float, bool]:
    """The test as Evidently calls it: numbers are cut at the reference's deciles, categories are the reference's.

    Evidently drops missing values before it asks; where they matter, hand it bins as categories, as `measure.py` does.

    Args:
        reference: Values [n].
        current: Values [m].
        feature_type: numerical or categorical.
        threshold: PSI from which it says drift.

    Returns:
        PSI and whether it reaches the threshold.
    """
    if feature_type == ColumnType.Numerical:
        bins = Bins.deciles(reference.to_numpy())
        score = psi(bins.count(reference.to_numpy()), bins.count(current.to_numpy()))
    else:
        known = reference.value_counts(dropna=False)
        there = current.value_counts(dropna=False)
        unseen = int(there[~there.index.isin(known.index)].sum())
        score = psi([*known, 0], [*there.reindex(known.index, fill_value=0), unseen])
    return score, score >= threshold


def register() -> str:
    """Makes the test known to Evidently, any number of times, and returns its name."""
    test = StatTest(
        name=NAME,
        display_name="PSI over the reference's deciles",
        allowed_feature_types=[ColumnType.Numerical, ColumnType.Categorical],
        default_threshold=SIGNIFICANT,
    )
    register_stattest(test, default_impl=decile_psi)
    return NAME
