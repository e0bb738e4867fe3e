"""Measures a window of the impression log against the reference that the bundle was released with.

Owns which columns are compared, how, and what counts towards the verdict; writes nothing. The figures are Evidently's,
by our test (`psi.py`), over bins that the reference cut: Evidently drops missing values, a bin of their own it keeps.

Shares of user and request features are of requests, those of item and seller features of the items and sellers that
were shown to as many requests a day as the reference has: more requests reach further into the tail. Those of cross,
source and prediction features are of rows, but the items of one slate are chosen together and are no independent units,
so that sufficiency counts requests there. Chance alone moves a figure: one within `chance` is insufficient, of few
items or sellers by their number, of requests, half of which may come from a few users who are like themselves each
time, by how many different users would tell as much (`effective_requests`). Ordinary days differ a little more, and how
much, the reference's own days tell: a figure less than twice what one of them reached against the others (`ordinary`)
is reported and does not alarm; of a hundred columns some always pass the largest of seven days, hardly any twice that.
Two kinds never alarm. Hours and weekdays: a window of one day differs from a week by definition. And how often items
were shown lately: the reference's items by whatever was served before, the window's by this bundle, which tells what we
did and not what the world did. Where it matters to the ranker, its predictions drift, and those alarm.
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
from inference.drift.reference import (
    Kind,
    Reference,
    ReferenceColumn,
    Watched,
    counted_tables,
    effective_requests,
    num_units,
    watched,
)
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

FEWEST_OF_A_DAY = 100  # requests of a reference day that says something about days
FEWEST_DAYS = 3
BEYOND_ORDINARY = 2.0  # times what is ordinary
NEVER_ALARM: Mapping[Kind, str] = {
    "calendar": "the calendar never alarms",
    "exposure": "how much we show never alarms",
}

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Compared:
    """A column with both counts over its bins."""

    column: Watched
    known: ReferenceColumn
    before: Counts
    after: Counts
    units: tuple[int, int]

    def chance(self, units: tuple[float, float]) -> float:
        """What so many units on either side differ by through chance, at most."""
        return chance(int(np.count_nonzero((self.before > 0) | (self.after > 0))), *units)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the figures rest on.

    Attributes:
        requests: Of the smaller side.
        effective: Requests of different users that would tell as much, on both sides.
        by_day: Requests of each day of the reference.
    """

    requests: int
    effective: tuple[float, float]
    by_day: Sequence[int]


def measure(
    bundle: Bundle, log: str, start: float, end: float, *, seed: int = 0, now: float | None = None
) -> DriftReport:
    """Measures drift.

    Args:
        bundle: The served bundle.
        log: The impression log's directory or URL.
        start: The window begins after it, unix seconds.
        end: And ends with it.
        seed: Of the draw of requests where there are more than are needed.
        now: Wall clock, unix seconds; taken here where None.

    Raises:
        BundleError: The bundle has no reference, or it cannot be read.
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
    asked = _Asked(
        min(here["requests"], reference.num_units["requests"]),
        (reference.effective_requests, effective_requests(window.shown)),
        reference.num_requests,
    )
    return found + [_finding(one, figures[one.column.name], asked) for one in compared]


def _absent(column: Watched, known: ReferenceColumn | None, window: Window) -> str:
    """Why a column cannot be compared, "" where it can."""
    if known is None:
        return "the reference does not have it"
    if known.absent:
        return known.absent
    if known.total[:-1].sum() == 0:
        return "the reference has no value of it"
    if column.kind == "label" and isinstance(window.labels, str):
        return window.labels
    return ""


def _finding(one: _Compared, figure: float, asked: _Asked) -> FeatureDrift:
    severity, few = _severity(one, figure, asked)
    ordinary = _ordinary(one.known, asked.by_day)
    detail, alarms = moved(one.known.bins.labels(), one.before, one.after), one.column.kind not in NEVER_ALARM
    if severity == "insufficient":
        detail += f"; {few} are too few to judge by it"
    elif severity in ("moderate", "significant"):
        if not alarms:
            detail += f"; {NEVER_ALARM[one.column.kind]}"
        elif ordinary is not None and figure < BEYOND_ORDINARY * ordinary:
            alarms = False
            detail += f"; no alarm, as ordinary days differ by up to {ordinary:.2f}"
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


def _severity(one: _Compared, figure: float, asked: _Asked) -> tuple[Severity, str]:
    """Severity of a figure; insufficient, and what is too few, where chance alone gives it."""
    severity = severity_of(figure, asked.requests)
    if severity == "insufficient":
        return severity, f"{asked.requests:,} requests"
    if one.column.counted in ("items", "sellers"):
        if min(one.units) < ENOUGH_UNITS and figure <= one.chance(one.units):
            return "insufficient", f"{min(one.units):,} {one.column.counted}"
    elif severity != "none" and figure <= one.chance(asked.effective):
        return "insufficient", f"requests of the same few users, which tell no more than {min(asked.effective):,.0f},"
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
    """The largest PSI of a day of the reference against the other days."""
    days = [day for day, num in enumerate(num_requests) if num >= FEWEST_OF_A_DAY and any(known.counts[day])]
    if len(days) < FEWEST_DAYS:
        return None
    counts = np.array(known.counts, dtype=np.int64)
    return max(psi(known.total - counts[day], counts[day]) for day in days)


def _bins(bins: Bins, before: Counts, after: Counts) -> tuple[Bin, ...]:
    """Shares of both sides; bins that are empty on both are left out."""
    return tuple(
        Bin(label=label, reference=float(old), current=float(new))
        for label, old, new in zip(bins.labels(), before / before.sum(), after / after.sum(), strict=True)
        if old or new
    )


def _labels(window: Window) -> Mapping[str, npt.NDArray[np.float64]]:
    assert not isinstance(window.labels, str)
    return window.labels
