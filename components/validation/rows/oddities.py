"""Detects unusual but valid data: spikes in the daily volume, and numbers far from the rest of their column.

Both are reported; no row is dropped because of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
from ibis.expr.types import NumericValue, Table

from components.validation.report import DayVolume, Outlier, rows_as_text

SPIKE_SCORE = 4.0
SPIKE_RATIO = 1.5
WINDOW_DAYS = 14
MINIMUM_DAYS = 7
MAD_TO_SIGMA = 1.4826
LEAST_SIGMA = 0.1
FAR_OUT = 3.0
LEAST_SPREAD = 1.0
CHECKED_NUMBERS = {
    "interactions": ("value", "price", "quantity"),
    "items": ("price", "num_ratings"),
    "users": (),
    "impressions": (),
}


def volume_scores(counts: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Robust z-score of each day's volume against the four weeks around it, and which days are spikes.

    The residual is the log ratio to the running median of the non-empty days within 14 days; its scale is the median
    absolute deviation (Iglewicz and Hoaglin, "How to detect and handle outliers", 1993), at least 0.1. A spike exceeds
    4 sigmas and 1.5 times the median. Logs shorter than a week have no spikes.

    Args:
        counts: Rows of consecutive days [n], zero for empty days.

    Returns:
        Scores [n] and flags [n].
    """
    if np.count_nonzero(counts) < MINIMUM_DAYS:
        return np.zeros(len(counts)), np.zeros(len(counts), dtype=np.bool_)
    usual = np.ones(len(counts))
    for day in np.flatnonzero(counts):
        near = counts[max(day - WINDOW_DAYS, 0) : day + WINDOW_DAYS + 1]
        usual[day] = np.median(near[near > 0])
    residual = np.log(np.maximum(counts, 1) / usual)
    present = residual[counts > 0]
    sigma = max(MAD_TO_SIGMA * float(np.median(np.abs(present - np.median(present)))), LEAST_SIGMA)
    scores = np.where(counts > 0, residual / sigma, 0.0)
    return scores, (scores > SPIKE_SCORE) & (counts > SPIKE_RATIO * usual)


def daily_volumes(rows: Table) -> tuple[DayVolume, ...]:
    """Volumes of the UTC days that have rows.

    Args:
        rows: Rows at plausible times, with `timestamp` and the booleans `bad` and `bot`.
    """
    day = rows.timestamp.truncate("D").date()
    daily = rows.group_by(day=day).agg(rows=rows.count(), bad=rows.bad.sum(), bots=rows.bot.sum()).order_by("day")
    found = daily.to_pyarrow().to_pylist()
    if not found:
        return ()
    first: date = found[0]["day"]
    place = [(entry["day"] - first).days for entry in found]
    counts = np.zeros(place[-1] + 1, dtype=np.int64)
    counts[place] = [entry["rows"] for entry in found]
    scores, spikes = volume_scores(counts)
    return tuple(
        DayVolume(
            day=entry["day"].isoformat(),
            kept=entry["rows"] - entry["bad"] - entry["bots"],
            bad=entry["bad"],
            bots=entry["bots"],
            score=round(float(scores[index]), 2),
            spike=bool(spikes[index]),
        )
        for index, entry in zip(place, found, strict=True)
    )


def outliers(name: str, kept: Table, extra: Sequence[str] = ()) -> list[Outlier]:
    """Numbers beyond Tukey's far-out fences (three interquartile ranges, "Exploratory Data Analysis", 1977).

    Quartiles are computed on sign(x) log(1 + |x|), because prices and counts have heavy tails. The interquartile range
    is at least 1 on that scale, so that a nearly constant column only flags values about twenty times off.

    Args:
        name: The table.
        kept: Clean rows of the table.
        extra: Declared numerical columns, checked in addition to the contract's columns.
    """
    columns = [column for column in (*CHECKED_NUMBERS[name], *extra) if column in kept.columns]
    if not columns:
        return []
    quartiles = kept.aggregate(
        **{
            f"{column}_{share}": _signed_log(kept[column]).quantile(share / 100)
            for column in columns
            for share in (25, 75)
        }
    )
    found = quartiles.to_pyarrow().to_pylist()[0]
    flagged = []
    for column in columns:
        low, high = found[f"{column}_25"], found[f"{column}_75"]
        if low is None or high is None:
            continue
        reach = FAR_OUT * max(high - low, LEAST_SPREAD)
        outlier = _outlier(name, kept, column, _unlog(low - reach), _unlog(high + reach))
        if outlier.count:
            flagged.append(outlier)
    return flagged


def _outlier(name: str, kept: Table, column: str, low: float, high: float) -> Outlier:
    values = kept[column]
    far = kept.filter((values < low) | (values > high))
    bounds = kept.aggregate(least=values.min(), greatest=values.max()).to_pyarrow().to_pylist()[0]
    return Outlier(
        table=name,
        column=column,
        count=int(far.count().to_pyarrow().as_py()),
        low=low,
        high=high,
        **bounds,
        examples=rows_as_text(far.order_by([far[column].abs().desc(), far.row]), column),
    )


def _signed_log(values: NumericValue) -> NumericValue:
    return values.sign() * (1 + values.abs()).ln()


def _unlog(value: float) -> float:
    return float(np.sign(value) * np.expm1(abs(value)))
