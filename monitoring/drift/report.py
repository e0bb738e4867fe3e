"""What the drift job found: the types of its report, and which severity a figure has.

Owns the thresholds and the order. How PSI is computed says `psi.py`; what follows from a report, `decision.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from inference.drift.reference import Counted, Kind
from monitoring.ledger import Answer

Severity = Literal["none", "moderate", "significant", "insufficient"]

MODERATE, SIGNIFICANT = 0.1, 0.2  # of PSI
ENOUGH_UNITS = 500  # below, chance alone moves deciles that far
_ORDER: tuple[Severity, ...] = ("significant", "moderate", "none", "insufficient")


class Bin(BaseModel):
    """One bin of a distribution.

    Attributes:
        label: What falls into it, in words.
        reference: Share of the reference, 0 to 1.
        current: Share of the window.
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
        kind: Whose property it is.
        psi: Decile PSI against the reference; None where there is nothing to compare.
        severity: Of the figure alone.
        alarms: Whether it counts towards the verdict.
        units: Independent units behind the figure, those of the smaller side: items or sellers where `counted` says so,
            else requests, as the items of one slate are chosen together.
        counted: What the shares are of.
        ordinary: The largest PSI of one day of the reference against its other days; None where days cannot be told.
        detail: One sentence about what moved, or why there is no figure or no alarm.
        bins: Both distributions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    psi: float | None
    severity: Severity
    alarms: bool
    units: int
    counted: Counted = "rows"
    ordinary: float | None = None
    detail: str = ""
    bins: tuple[Bin, ...] = ()


class DriftReport(BaseModel):
    """A window of the impression log beside the reference of one bundle; `drift.json` is this.

    Attributes:
        dataset: Name of the dataset.
        bundle_version: The bundle that served what is compared, and whose reference was used.
        feature_hash: Its feature set.
        start: The window begins after it, unix seconds of the log.
        end: And ends with it.
        measured_at: When it was measured, unix seconds of the wall clock.
        verdict: The worst severity among features that alarm; insufficient where too little was served.
        sentence: The verdict in words, naming the worst features.
        num_requests: Compared.
        num_impressions: Rows they were shown.
        num_left_out: Impressions of the window that were not compared, by reason.
        features: Worst first, see `worst_first`.
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
    """Severity of a figure: none below 0.1, moderate below 0.2, significant from there.

    Args:
        psi: The figure, None where there is none.
        units: Independent units behind it; under `ENOUGH_UNITS` it is insufficient whatever the figure.
    """
    if psi is None or units < ENOUGH_UNITS:
        return "insufficient"
    if psi >= SIGNIFICANT:
        return "significant"
    return "moderate" if psi >= MODERATE else "none"


def verdict_of(features: Iterable[FeatureDrift], num_requests: int) -> Severity:
    """The worst severity among features that alarm; insufficient where fewer than `ENOUGH_UNITS` requests are there."""
    found = {feature.severity for feature in features if feature.alarms}
    if num_requests < ENOUGH_UNITS or found <= {"insufficient"}:
        return "insufficient"
    return next(severity for severity in _ORDER if severity in found)


def worst_first(features: Iterable[FeatureDrift]) -> tuple[FeatureDrift, ...]:
    """By severity, then PSI, then name; what has drifted and alarms stands before what has and does not."""

    def place(found: FeatureDrift) -> tuple[int, bool, float, str]:
        quiet = found.severity in ("significant", "moderate") and not found.alarms
        return _ORDER.index(found.severity), quiet, -(found.psi or 0.0), found.name

    return tuple(sorted(features, key=place))
