"""Measures drift: compares a window of the impression log with the reference of the served bundle.

Evidently computes PSI with the test of `psi.py`, over bins that the reference defines. Missing values have a separate
bin, because Evidently drops them. The rules are:

- Unit. User and request features count once a request. Item and seller features count once an item or seller and day,
  over as many requests a day as the reference has, because more requests reach further into the tail of the catalogue.
  Cross, source and prediction features count by row. The items of one slate are chosen together, so the number of
  independent units is the number of requests there.
- Random variation. A PSI that random variation could explain (`chance`) is `insufficient`. For items and sellers the
  bound uses their number. For requests it uses the effective number of requests (`effective_requests`), because a few
  users may send most of them.
- Ordinary days. `ordinary` is the largest PSI of one day of the reference against its other days. A PSI below twice
  that value is reported and does not alarm. Of a hundred columns some always exceed the largest of seven days; hardly
  any exceed twice that value.
- Kinds that never alarm. Hours and weekdays: a window of one day always differs from a week. Impression counts: they
  depend on the policy that served, which differs between the reference and the window. If they matter to the ranker,
  its predictions drift, and predictions alarm.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feature_repo.errors import BundleError
from inference.bundles.bundle import REFERENCE, Bundle
from inference.drift.bins import Bins
from inference.drift.reference import Reference, ReferenceColumn
from inference.drift.watched import Kind, Watched, counted_tables, effective_requests, num_units, watched
from monitoring.drift.evidence import evidently_psi
from monitoring.drift.psi import chance, psi
from monitoring.drift.report import (
    ENOUGH_UNITS,
    Bin,
    DriftReport,
    FeatureDrift,
    Severity,
    severity_of,
    verdict_of,
    worst_first,
)
from monitoring.drift.window import Window, read_window
from monitoring.drift.wording import moved, sentence_of

FEWEST_OF_A_DAY = 100  # requests that a day of the reference needs to be compared with the other days
FEWEST_DAYS = 3
BEYOND_ORDINARY = 2.0  # multiple of `ordinary` from which a PSI alarms
NEVER_ALARM: Mapping[Kind, str] = {
    "calendar": "calendar features never alarm",
    "exposure": "impression counts never alarm",
}

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Compared:
    """A column with the counts [b] of both sides over its bins."""

    column: Watched
    known: ReferenceColumn
    before: Counts
    after: Counts
    units: tuple[int, int]

    def chance(self, units: tuple[float, float]) -> float:
        """The largest PSI that random variation explains for so many units on each side."""
        return chance(int(np.count_nonzero((self.before > 0) | (self.after > 0))), *units)


@dataclass(frozen=True, slots=True)
class _RequestCounts:
    """Numbers of requests behind the comparison.

    Attributes:
        requests: Requests of the smaller side.
        effective: Effective number of requests of the reference and of the window.
        by_day: Requests of each day of the reference.
    """

    requests: int
    effective: tuple[float, float]
    by_day: Sequence[int]


def measure(
    bundle: Bundle, log: str, start: float, end: float, *, seed: int = 0, now: float | None = None
) -> DriftReport:
    """Measure drift in a window.

    Args:
        bundle: The served bundle.
        log: Directory or URL of the impression log.
        start: Start of the window (exclusive), unix seconds.
        end: End of the window (inclusive), unix seconds.
        seed: Seed of the sample of requests, if there are more than needed.
        now: Wall clock, unix seconds; None reads the clock.

    Raises:
        BundleError: The reference is missing, cannot be read or is of another feature set.
        DatasetError: A part of the log cannot be read.
        StorageError: The log cannot be reached.
    """
    reference = Reference.load(bundle.path / REFERENCE)
    if reference.feature_hash != bundle.feature_set.hash:
        raise BundleError(f"The drift reference of bundle {bundle.version} is of another feature set: train again.")
    window = read_window(bundle, log, start, end, reference.objectives, seed)
    num_requests = window.num_requests
    features = worst_first(_compare(bundle, reference, window)) if num_requests else ()
    verdict = verdict_of(features, num_requests)
    return DriftReport(
        dataset=bundle.manifest.facts.dataset,
        bundle_version=bundle.version,
        feature_hash=reference.feature_hash,
        start=start,
        end=end,
        measured_at=time.time() if now is None else now,
        verdict=verdict,
        sentence=sentence_of(verdict, features, num_requests, sum(reference.num_requests)),
        num_requests=num_requests,
        num_impressions=window.shown.num_rows,
        num_left_out=window.num_left_out,
        features=features,
    )


def _compare(bundle: Bundle, reference: Reference, window: Window) -> list[FeatureDrift]:
    known = {column.name: column for column in reference.columns}
    tables = counted_tables(window.shown, reference.requests_a_day)
    here = num_units(tables)
    compared, found = [], []
    for column in watched(bundle.feature_set):
        mine = known.get(column.name)
        reason, units = _absent(column, mine, window), (reference.num_units[column.counted], here[column.counted])
        if mine is None or reason:
            found.append(_nothing(column, reason, min(units)))
            continue
        values = _labels(window)[column.name] if column.kind == "label" else column.values(tables[column.counted])
        compared.append(_Compared(column, mine, mine.total, mine.bins.count(values), units))
    figures = evidently_psi({one.column.name: (one.before, one.after) for one in compared})
    counts = _RequestCounts(
        min(here["requests"], reference.num_units["requests"]),
        (reference.effective_requests, effective_requests(window.shown)),
        reference.num_requests,
    )
    return found + [_finding(one, figures[one.column.name], counts) for one in compared]


def _absent(column: Watched, known: ReferenceColumn | None, window: Window) -> str:
    """The reason why a column cannot be compared, "" if it can."""
    if known is None:
        return "the reference does not have it"
    if known.absent:
        return known.absent
    if known.total[:-1].sum() == 0:
        return "the reference has no value of it"
    if column.kind == "label" and isinstance(window.labels, str):
        return window.labels
    return ""


def _finding(one: _Compared, figure: float, counts: _RequestCounts) -> FeatureDrift:
    severity, few = _severity(one, figure, counts)
    ordinary = _ordinary(one.known, counts.by_day)
    detail, alarms = moved(one.known.bins.labels(), one.before, one.after), one.column.kind not in NEVER_ALARM
    if severity == "insufficient":
        detail += f"; {few} are too few for a severity"
    elif severity in ("moderate", "significant"):
        if not alarms:
            detail += f"; {NEVER_ALARM[one.column.kind]}"
        elif ordinary is not None and figure < BEYOND_ORDINARY * ordinary:
            alarms = False
            detail += f"; no alarm, because ordinary days differ by up to {ordinary:.2f}"
    return FeatureDrift(
        name=one.column.name,
        kind=one.column.kind,
        psi=figure,
        severity=severity,
        alarms=alarms,
        units=min(one.units),
        counted=one.column.counted,
        ordinary=ordinary,
        detail=detail,
        bins=_bins(one.known.bins, one.before, one.after),
    )


def _severity(one: _Compared, figure: float, counts: _RequestCounts) -> tuple[Severity, str]:
    """Severity of a PSI, and for `insufficient` the units that are too few."""
    severity = severity_of(figure, counts.requests)
    if severity == "insufficient":
        return severity, f"{counts.requests:,} requests"
    if one.column.counted in ("items", "sellers"):
        if min(one.units) < ENOUGH_UNITS and figure <= one.chance(one.units):
            return "insufficient", f"{min(one.units):,} {one.column.counted}"
    elif severity != "none" and figure <= one.chance(counts.effective):
        return "insufficient", f"requests of few users, equivalent to {min(counts.effective):,.0f},"
    return severity, ""


def _nothing(column: Watched, reason: str, units: int) -> FeatureDrift:
    return FeatureDrift(
        name=column.name,
        kind=column.kind,
        psi=None,
        severity="insufficient",
        alarms=False,
        units=units,
        counted=column.counted,
        detail=reason,
    )


def _ordinary(known: ReferenceColumn, num_requests: Sequence[int]) -> float | None:
    """The largest PSI of one day of the reference against the other days; None for too few days."""
    days = [day for day, num in enumerate(num_requests) if num >= FEWEST_OF_A_DAY and any(known.counts[day])]
    if len(days) < FEWEST_DAYS:
        return None
    counts = np.array(known.counts, dtype=np.int64)
    return max(psi(known.total - counts[day], counts[day]) for day in days)


def _bins(bins: Bins, before: Counts, after: Counts) -> tuple[Bin, ...]:
    """Shares of both sides; a bin that is empty on both sides is left out."""
    return tuple(
        Bin(label=label, reference=float(old), current=float(new))
        for label, old, new in zip(bins.labels(), before / before.sum(), after / after.sum(), strict=True)
        if old or new
    )


def _labels(window: Window) -> Mapping[str, npt.NDArray[np.float64]]:
    assert not isinstance(window.labels, str)
    return window.labels
