"""Drift in words: the bin that moved most in a column, and the verdict of a report in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from feature_repo.pages.formats import short_percent
from monitoring.drift.report import ENOUGH_UNITS, FeatureDrift, Severity

MOST_NAMED = 3  # features that a sentence names


def moved(labels: Sequence[str], before: npt.NDArray[np.int64], after: npt.NDArray[np.int64]) -> str:
    """The bin whose share moved most, with its share before and after."""
    old, new = before / before.sum(), after / after.sum()
    most = int(np.argmax(np.abs(new - old)))
    return f"{labels[most]}: {short_percent(old[most])} → {short_percent(new[most])}"


def named(features: Sequence[FeatureDrift]) -> str:
    """The worst features with their PSI, and the number of further features."""
    words = [f"{feature.name} (PSI {feature.psi:.2f})" for feature in features[:MOST_NAMED]]
    rest = len(features) - len(words)
    return ", ".join(words) + (f" and {rest} more" if rest else "")


def sentence_of(verdict: Severity, features: Sequence[FeatureDrift], num_requests: int, num_reference: int) -> str:
    """The verdict in one sentence.

    Args:
        verdict: Verdict over all features.
        features: All features, worst first.
        num_requests: Number of compared requests.
        num_reference: Number of requests behind the reference.
    """
    if verdict == "insufficient":
        if num_requests >= ENOUGH_UNITS > num_reference:
            return (
                f"The reference has {num_reference:,} requests, but a verdict needs {ENOUGH_UNITS}: train again with "
                "more `reference_days`."
            )
        return f"Only {num_requests:,} ranked requests were served; a verdict needs {ENOUGH_UNITS}."
    if verdict == "none":
        return f"No column drifted more than on ordinary days, over {num_requests:,} requests."
    drifted = [feature for feature in features if feature.alarms and feature.severity == verdict]
    have = "has" if len(drifted) == 1 else "have"
    what = "significantly" if verdict == "significant" else "moderately"
    return f"{named(drifted)} {have} drifted {what} over {num_requests:,} requests."
