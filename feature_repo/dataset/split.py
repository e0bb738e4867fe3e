"""The time axis: where training ends, where validation and test begin, when snapshots are taken, and outlying times.

Owns every boundary in time. Refuses random splits: all spans are whole steps back from the log's end, so that each
boundary is also a cut at which a snapshot exists.
"""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, model_validator

from feature_repo.dataset.config import DatasetConfig

HOUR = 3600.0  # seconds
DAY = 24 * HOUR
DAY_MICROSECONDS = 86_400_000_000
MICROSECOND = 1e-6
DEFAULT_DAYS = 7
LARGEST_SHARE = 0.2  # of a short log, for validation and for test
RANK_SHARE = 0.3  # of what lies before validation
SHORT_DAYS = 5  # a shorter log has cuts closer than a day
SHORT_STEPS = 25  # so many in the whole of it, a fifth of which is a whole number,
SHORT_STEPS_A_DAY = 6  # or so many a day where days are declared and fit
SHORT_LIFE = 3 * DAY  # items that live shorter have cuts closer than a day
SHORT_LIFE_SHARE = 0.25  # of the log, which a short life does not exceed: no item outlives a short log
STEPS_PER_LIFE = 8  # about so many cuts in the life of an item
PARTS = (1, 2, 3, 4, 6, 8, 12, 24)  # of a day, whole hours
MOST_CUTS = 250  # from rank_start on, where cuts are closer than a day
OUTLYING_SHARE = 0.001
OUTLYING_ROWS = 3  # of a small log, if they are
OUTLYING_SMALL_SHARE = 0.05  # at most this share of it, which the default of quality.minimum_rate still passes
OUTLYING_GAP = 365 * DAY
EARLIEST = datetime.min.replace(tzinfo=UTC).timestamp()  # earlier times cannot be written as dates, so no log has them


class Split(BaseModel):
    """Boundaries in unix seconds, to the microsecond.

    Attributes:
        log_start, log_end: First and latest clean timestamp.
        rank_start: Towers that score the ranker's training rows are fitted on events before it.
        validation_start: The ranker trains on rank_start..validation_start and is calibrated from here to test_start.
        test_start: What is evaluated is fitted on events before it.
        step: Seconds between two cuts; a day, less where the log is shorter than five or where items live for hours.
        parts: Steps from one snapshot of the users to the next; only items are counted at every cut.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_start: float
    rank_start: float
    validation_start: float
    test_start: float
    log_end: float
    step: float = DAY
    parts: int = 1

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.log_start <= self.rank_start <= self.validation_start <= self.test_start:
            raise ValueError("the boundaries of a split are not in order")
        return self

    def cuts(self, step: float | None = None) -> npt.NDArray[np.float64]:
        """Times at which snapshots are taken, ascending: log_end - k * step for every k that is after log_start.

        A snapshot at a cut holds the events before it. The last cut is log_end itself, whose snapshot holds the
        events up to and at it (see `stamp`). There is always at least this one.
        """
        step = step or self.step
        steps = math.ceil((self.log_end - self.log_start) / step - 1e-9)
        exact = self.log_end - np.arange(max(steps, 1))[::-1] * step
        # The boundaries of the spans are rounded like this: numpy's `round` may differ from it in the last bit.
        return np.array([round(cut, 6) for cut in exact.tolist()])

    @property
    def user_step(self) -> float:
        """Seconds between two snapshots of the users."""
        return self.step * self.parts

    def user_cuts(self) -> npt.NDArray[np.float64]:
        """The cuts at which users are counted, ascending: every `parts`-th cut back from the log's end."""
        return self.cuts()[:: -self.parts][::-1]

    def cuts_within(self, start: float, end: float) -> npt.NDArray[np.float64]:
        """The cuts at or after `start` and before `end`, ascending unix seconds."""
        cuts = self.cuts()
        return cuts[(cuts >= start) & (cuts < end)]

    def cutoff_time(self, cutoff: str) -> float:
        """The time before which the events of a cutoff lie: `rank`, `validation`, `test`, or `final` (all events).

        Raises:
            KeyError: The cutoff is none of these.
        """
        times = {"rank": self.rank_start, "validation": self.validation_start, "test": self.test_start}
        return self.stamp(self.log_end) if cutoff == "final" else times[cutoff]

    def stamp(self, cut: float) -> float:
        """When the snapshot of a cut becomes known: the cut, but a microsecond later for the log's end."""
        return round(cut + MICROSECOND, 6) if cut >= self.log_end else cut


def make_split(config: DatasetConfig, log_start: float, log_end: float, item_life: float = math.inf) -> Split:
    """Splits a log by time.

    Declared days are kept where validation and test together leave a fifth of the log for training; else, and by
    default, each is at most a fifth of the log. A log under five days has its boundaries on a finer grid. With a
    single moment in the log everything is training, and validation and test are empty. Where items live for hours, the
    grid is finer still; the spans keep their length.

    Args:
        config: Supplies `[split]`.
        log_start: First clean timestamp, unix seconds.
        log_end: Latest clean timestamp, unix seconds.
        item_life: Seconds, see `time_scales.item_life`.
    """
    span = log_end - log_start
    if span < SHORT_STEPS * MICROSECOND:
        end = round(log_end + MICROSECOND, 6)
        return Split(log_start=log_start, rank_start=end, validation_start=end, test_start=end, log_end=log_end)
    validation, test = config.split.validation_days or DEFAULT_DAYS, config.split.test_days or DEFAULT_DAYS
    declared = config.split.validation_days or config.split.test_days
    if declared and (validation + test) * DAY <= (1 - LARGEST_SHARE) * span:
        steps_a_day = 1 if span >= SHORT_DAYS * DAY else SHORT_STEPS_A_DAY
        step = DAY / steps_a_day
        length, validation, test = span / step, validation * steps_a_day, test * steps_a_day
    elif span >= SHORT_DAYS * DAY:
        step, length = DAY, span / DAY
        largest = max(int(LARGEST_SHARE * length), 1)
        validation, test = min(validation, largest), min(test, largest)
    else:
        step, length = span / SHORT_STEPS, float(SHORT_STEPS)
        validation = test = int(LARGEST_SHARE * SHORT_STEPS)
    before = length - validation - test
    rank = max(min(4 * validation, int(RANK_SHARE * before)), 1)
    parts = 1
    if item_life < min(SHORT_LIFE, SHORT_LIFE_SHARE * span):
        parts = _parts(step, test + validation + rank, item_life / STEPS_PER_LIFE)
        step /= parts
    steps = parts * np.array([test + validation + rank, test + validation, test])
    starts = [round(log_end - count * step, 6) for count in steps.tolist()]
    return Split(
        log_start=log_start,
        rank_start=max(starts[0], log_start),
        validation_start=starts[1],
        test_start=starts[2],
        log_end=log_end,
        step=step,
        parts=parts,
    )


def _parts(step: float, num_steps: int, wanted: float) -> int:
    """The number of parts of a step that comes closest to the wanted length, none under an hour."""
    allowed = [parts for parts in PARTS if step / parts >= HOUR and parts * num_steps <= MOST_CUTS]
    return min(allowed or [1], key=lambda parts: abs(math.log(step / parts / max(wanted, HOUR))))


def clean_span(times: npt.NDArray[np.float64], now: float | None = None) -> tuple[float, float]:
    """First and last moment of a log once outlying rows are set aside.

    Outlying is what lies over a day past the wall clock or before the year 1, and what is cut off from the rest by a
    gap of over 365 days while it is at most 0.1 % of the rows, or three rows and at most 5 % of a small log.

    Args:
        times: Unix seconds [n], any order; NaN is a missing time.
        now: The wall clock in unix seconds; taken here where None.

    Returns:
        The smallest and largest time that is not outlying; (nan, nan) where there is none.
    """
    now = time.time() if now is None else now
    known = times[~np.isnan(times)]
    known = np.sort(known[(known >= EARLIEST) & (known <= now + DAY)])
    if not len(known):
        return math.nan, math.nan
    few = max(int(OUTLYING_SHARE * len(times)), min(OUTLYING_ROWS, int(OUTLYING_SMALL_SHARE * len(times))))
    gaps = np.flatnonzero(np.diff(known) > OUTLYING_GAP) + 1  # number of rows before each gap
    before = gaps[gaps <= few]
    after = gaps[len(known) - gaps <= few]
    first = int(before[-1]) if len(before) else 0
    last = int(after[0]) if len(after) else len(known)
    return float(known[first]), float(known[last - 1])
