"""The types of a drift report, the thresholds of PSI and the order of features.

`psi.py` computes PSI, `measure.py` makes the report, and `monitoring/decision.py` decides what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from inference.drift.watched import Counted, Kind
from monitoring.ledger import DriftAnswer

Severity = Literal["none", "moderate", "significant", "insufficient"]

MODERATE, SIGNIFICANT = 0.1, 0.2  # of PSI
ENOUGH_UNITS = 500  # with fewer, random variation alone can reach these limits
_ORDER: tuple[Severity, ...] = ("significant", "moderate", "none", "insufficient")


class Bin(BaseModel):
    """One bin of a distribution.

    Attributes:
        label: The values in the bin, in words.
        reference: Share of the reference, 0 to 1.
        current: Share of the window, 0 to 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    reference: float
    current: float


class FeatureDrift(BaseModel):
    """Drift of one column.

    Attributes:
        name: Column of the impression log without `feature_`: a ranker feature, `score`, `p_<objective>` or
            `label_<objective>`.
        kind: The entity that the column describes.
        psi: Decile PSI against the reference; None if there is nothing to compare.
        severity: Severity of the PSI alone.
        alarms: Whether the column counts towards the verdict.
        units: Independent units on the smaller side: items or sellers if `counted` says so, otherwise requests, because
            the items of one slate are chosen together.
        counted: The unit that the shares count.
        ordinary: The largest PSI of one day of the reference against its other days; None for too few days.
        detail: The bin that moved most, or why there is no PSI or no alarm.
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
    """A window of the impression log compared with the reference of a bundle; the content of `drift.json`.

    Attributes:
        dataset: Name of the dataset.
        bundle_version: The bundle that served the window, and whose reference is used.
        feature_hash: Hash of the bundle's feature set.
        start: Start of the window (exclusive), unix seconds of the log.
        end: End of the window (inclusive), unix seconds of the log.
        measured_at: Time of the measurement, unix seconds of the wall clock.
        verdict: The worst severity among features that alarm; `insufficient` if too few requests were served.
        sentence: The verdict in words, with the worst features.
        num_requests: Requests that were compared.
        num_impressions: Impressions of these requests.
        num_left_out: Impressions of the window that were not compared, by reason.
        features: Worst first, see `worst_first`.
        answer: The job's answer; None until there is one, and for a job that only measures.
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
    answer: DriftAnswer | None = None

    def worst(self, severity: Severity) -> tuple[FeatureDrift, ...]:
        """Features of a severity that count towards the verdict, worst first."""
        return tuple(feature for feature in self.features if feature.alarms and feature.severity == severity)


def severity_of(psi: float | None, units: int) -> Severity:
    """Severity of a PSI: none below 0.1, moderate below 0.2, significant from 0.2.

    Args:
        psi: The PSI, or None.
        units: Independent units behind it; with fewer than `ENOUGH_UNITS` every PSI is `insufficient`.
    """
    if psi is None or units < ENOUGH_UNITS:
        return "insufficient"
    if psi >= SIGNIFICANT:
        return "significant"
    return "moderate" if psi >= MODERATE else "none"


def verdict_of(features: Iterable[FeatureDrift], num_requests: int) -> Severity:
    """The worst severity among features that alarm; `insufficient` for fewer than `ENOUGH_UNITS` requests."""
    found = {feature.severity for feature in features if feature.alarms}
    if num_requests < ENOUGH_UNITS or found <= {"insufficient"}:
        return "insufficient"
    return next(severity for severity in _ORDER if severity in found)


def worst_first(features: Iterable[FeatureDrift]) -> tuple[FeatureDrift, ...]:
    """Sort by severity, then PSI, then name; of drifted features, the alarming ones come first."""

    def place(found: FeatureDrift) -> tuple[int, bool, float, str]:
        quiet = found.severity in ("significant", "moderate") and not found.alarms
        return _ORDER.index(found.severity), quiet, -(found.psi or 0.0), found.name

    return tuple(sorted(features, key=place))
