"""What drift means in words: what moved in a column, and the verdict of a report in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from feature_repo.pages.formats import short_percent
from monitoring.drift.report import ENOUGH_UNITS, FeatureDrift, Severity

NAMED = 3  # features a sentence names


def moved(labels: Sequence[str], before: npt.NDArray[np.int64], after: npt.NDArray[np.int64]) -> str:
    """The bin whose share moved most: its label, from and to."""
    old, new = before / before.sum(), after / after.sum()
    most = int(np.argmax(np.abs(new - old)))
    return f"{labels[most]}: {short_percent(old[most])} → {short_percent(new[most])}"


def named(features: Sequence[FeatureDrift]) -> str:
    """The worst features with their figures, and how many more there are."""
    words = [f"{feature.name} (PSI {feature.psi:.2f})" for feature in features[:NAMED]]
    rest = len(features) - len(words)
    return ", ".join(words) + (f" and {rest} more" if rest else "")


def sentence_of(verdict: Severity, features: Sequence[FeatureDrift], num_requests: int, num_reference: int) -> str:
    """The verdict in a sentence.

    Args:
        verdict: Of all features.
        features: Worst first.
        num_requests: Compared.
        num_reference: Requests behind the reference.
    """
    if verdict == "insufficient":
        if num_requests >= ENOUGH_UNITS > num_reference:
            return (
                f"The reference has {num_reference:,} requests, of {ENOUGH_UNITS} that are needed to judge: "
                "train again with more `reference_days`."
            )
        return f"{num_requests:,} ranked requests were served, of {ENOUGH_UNITS} that are needed to judge."
    if verdict == "none":
        return f"Nothing has drifted beyond what ordinary days differ by, over {num_requests:,} requests."
    drifted = [feature for feature in features if feature.alarms and feature.severity == verdict]
    have = "has" if len(drifted) == 1 else "have"
    what = "significantly" if verdict == "significant" else "moderately"
    return f"{named(drifted)} {have} drifted {what} over {num_requests:,} requests."
