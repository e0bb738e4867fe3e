"""What the drift job found: the types of its report, and which severity a figure has.

Owns the thresholds and the order. How PSI is computed says `psi.py`; what follows from a report, `decision.py`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from monitoring.ledger import Answer

Severity = Literal["none", "moderate", "significant", "insufficient"]
Kind = Literal["item", "cross", "source", "user", "request", "calendar", "prediction", "label"]

MODERATE, SIGNIFICANT = 0.1, 0.2  # of PSI
ENOUGH_UNITS = 500  # below, chance alone moves deciles that far
_ORDER: tuple[Severity, ...] = ("significant", "moderate", "none", "insufficient")


class Bin(BaseModel):
    """One bin of a distribution.

    Attributes:
        label: What falls into it, in words.
        reference, current: Share of the units, 0 to 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    reference: float
    current: float


class FeatureDrift(BaseModel):
    """One column.

    Attributes:
        name: As in the impression log without `feature_`: a ranker feature, `score`, `p_<objective>` or
            `label_<objective>`.
        kind: Whose property it is; decides what is counted and whether it may alarm.
        psi: Decile PSI against the reference; None where there is nothing to compare.
        severity: Of the figure alone.
        alarms: Whether it counts towards the verdict.
        unit: What was counted.
        units: So many of them in the window.
        detail: One sentence about what moved, or why there is no figure.
        bins: Both distributions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    psi: float | None
    severity: Severity
    alarms: bool
    unit: Literal["request", "row"]
    units: int
    detail: str = ""
    bins: tuple[Bin, ...] = ()


class DriftReport(BaseModel):
    """A window of the impression log beside the reference of one bundle; `drift.json` is this.

    Attributes:
        dataset: Name of the dataset.
        bundle_version: The bundle whose reference was used.
        feature_hash: Its feature set.
        start, end: The window, unix seconds: start < timestamp <= end.
        measured_at: When it was measured, unix seconds.
        verdict: The worst severity among features that alarm; insufficient where too little was served.
        sentence: The verdict in words, naming the worst features.
        num_requests, num_impressions: Compared.
        num_left_out: Impressions of the window that were not compared, by reason.
        features: Worst first: by severity, then PSI, then name.
        answer: What was done about it; None while that is open, and where the job only looks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    bundle_version: str
    feature_hash: str
    start: float
    end: float
    measured_at: float
    verdict: Severity
    sentence: str
    num_requests: int
    num_impressions: int
    num_left_out: dict[str, int] = {}
    features: tuple[FeatureDrift, ...] = ()
    answer: Answer | None = None

    def worst(self, severity: Severity) -> tuple[FeatureDrift, ...]:
        """Features of a severity that count towards the verdict, worst first."""
        return tuple(feature for feature in self.features if feature.alarms and feature.severity == severity)


def severity_of(psi: float | None, units: int) -> Severity:
    """None below 0.1, moderate below 0.2, significant from there; insufficient under 500 units or without a figure."""
    if psi is None or units < ENOUGH_UNITS:
        return "insufficient"
    if psi >= SIGNIFICANT:
        return "significant"
    return "moderate" if psi >= MODERATE else "none"


def worst_first(features: list[FeatureDrift]) -> tuple[FeatureDrift, ...]:
    """By severity, then PSI, then name."""
    return tuple(sorted(features, key=lambda found: (_ORDER.index(found.severity), -(found.psi or 0.0), found.name)))
