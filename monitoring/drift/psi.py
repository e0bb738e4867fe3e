"""Decile PSI as an Evidently test with the name `kuberec_psi`.

The `psi` test of Evidently uses bins of equal width over both samples, so a heavy tail (prices) hardly changes it.
This test uses the deciles of the reference as edges.

    PSI = sum over bins of (current - reference) * ln(current / reference)

of shares (N. Siddiqi, Credit Risk Scorecards, 2006). For two samples of one distribution with n and m units and b bins
the expected PSI is about (b - 1)(1/n + 1/m) (B. Yurdakul, J. Naranjo, Statistical properties of the population
stability index, Journal of Risk Model Validation 14(4), 2020). With 500 units and ten bins this is 0.018, and values
above 0.05 are rare.

An empty bin would make PSI infinite, so a share below `LEAST_SHARE` counts as `LEAST_SHARE` on both sides. A sample of
500 units, the smallest size with a severity, cannot distinguish 0.001 from 0. The usual replacement, half a count,
depends on the sample size: 3 % of newly missing values would be significant against a large reference. With
`LEAST_SHARE`, 3 % in a previously empty bin give a PSI of 0.10, and 5 % give 0.19. A bin that is empty on both sides is
left out.
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
    """PSI of two histograms over the same bins; neither is empty.

    Args:
        reference: Units of the reference in each bin [b].
        current: Units of the other sample in each bin [b].
    """
    before, after = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    used = (before > 0) | (after > 0)
    before = np.maximum(before / before.sum(), LEAST_SHARE)[used]
    after = np.maximum(after / after.sum(), LEAST_SHARE)[used]
    return float(np.sum((after - before) * np.log(after / before)))


def chance(num_bins: int, num_reference: float, num_current: float) -> float:
    """The 99.9 % quantile of PSI between two samples of one distribution: larger values are not random variation.

    Under the same distribution PSI is (1/n + 1/m) times chi-squared with (bins - 1) degrees of freedom (Yurdakul and
    Naranjo, see the module).

    Args:
        num_bins: Number of bins that are not empty.
        num_reference: Units of the first sample, n.
        num_current: Units of the second sample, m.
    """
    if min(num_reference, num_current) == 0:
        return float("inf")
    return float(chi2.ppf(0.999, max(num_bins - 1, 1))) * (1 / num_reference + 1 / num_current)


def decile_psi(
    reference: pd.Series, current: pd.Series, feature_type: ColumnType, threshold: float
) -> tuple[float, bool]:
    """The test in the form that Evidently calls. The reference gives the deciles of numbers and the known categories.

    Evidently drops missing values before the call. To count them, pass bin numbers as categories, as `measure.py` does.

    Args:
        reference: Values [n].
        current: Values [m].
        feature_type: numerical or categorical.
        threshold: PSI from which the test reports drift.

    Returns:
        PSI, and whether it reaches the threshold.
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
    """Register the test with Evidently and return its name; calls may be repeated."""
    test = StatTest(
        name=NAME,
        display_name="PSI over the reference's deciles",
        allowed_feature_types=[ColumnType.Numerical, ColumnType.Categorical],
        default_threshold=SIGNIFICANT,
    )
    register_stattest(test, default_impl=decile_psi)
    return NAME
