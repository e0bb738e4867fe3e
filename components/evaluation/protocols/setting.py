"""A log prepared for an evaluation: its events, its queries, and the data that each protocol allows a model to use.

Reads only prepared tables. Under leave-one-out (`leave_one_out.py`) parameters are fitted on events without validation
and test items; the history of a test query contains the user's validation item.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.evaluation.baselines.method import Training
from components.evaluation.protocols.log import EventLog, ObjectArray, microseconds
from components.evaluation.protocols.protocol import (
    Task,
    Tasks,
    held_out_task,
    held_out_tasks,
    make_task,
    make_tasks,
    ruled_out,
)
from feature_repo.dataset.repeats import Repeats
from feature_repo.dataset.tables import PreparedTables, item_universe

Span = Literal["validation", "test"]
COLUMNS = ["user_id", "item_id", "timestamp", "grade"]


@dataclass(frozen=True, slots=True)
class Setting:
    """A log under a protocol; times are microseconds.

    Attributes:
        dataset: Name of the dataset.
        log: All clean events, of leave-one-out with the held-out events.
        validation_start, test_start, end: Bounds of the spans; the test span includes `end`. Under leave-one-out, which
            has no spans, both starts follow the end.
        held_out: Whether each event is held out for validation, for the test [n]; None under the temporal protocol.
        repeats: Which own items may come again.
        strongest: Grade of the strongest objective.
        categories: Category of each item row [m], "" if unknown; None if no item has a category.
    """

    dataset: str
    log: EventLog
    validation_start: int
    test_start: int
    end: int
    held_out: dict[Span, npt.NDArray[np.bool_]] | None
    repeats: Repeats
    strongest: int
    categories: ObjectArray | None

    @classmethod
    def open(cls, tables: PreparedTables) -> Setting:
        """Reads prepared tables, or the output of `leave_one_out`."""
        item_ids = item_universe(tables)
        events = tables.read("interactions", COLUMNS)
        split, config = tables.split, tables.config
        repeats: Repeats = config.recommend.repeats
        held_out: dict[Span, npt.NDArray[np.bool_]] | None = None
        if tables.holds_out:
            repeats = repeats if repeats == "always" else "never"
            events, held_out = _with_held_out(events, tables.held_out)
        return cls(
            dataset=config.name,
            log=EventLog.from_table(events, item_ids),
            validation_start=microseconds(split.validation_start),
            test_start=microseconds(split.test_start),
            end=microseconds(split.log_end),
            held_out=held_out,
            repeats=repeats,
            strongest=len(tables.objectives),
            categories=_categories(tables, item_ids),
        )

    def tasks(self) -> Tasks:
        """The test task and its slices."""
        if self.held_out is None:
            return make_tasks(self.log, self.test_start, self.end, self.repeats, self.strongest)
        held = self.log.where(self.held_out["test"])
        return held_out_tasks(self.log, held, self._known("test"), self.repeats, self.strongest)

    def validation_task(self) -> Task:
        """The same kind of task on the validation span or items, for choosing settings."""
        excluded = ruled_out(self._known("validation"), self.repeats, self.strongest)
        if self.held_out is None:
            return make_task(self.log, self.validation_start, self.test_start - 1, excluded)
        return held_out_task(self.log, self.log.where(self.held_out["validation"]), excluded)

    def training(self, span: Span, seed: int = 0) -> Training:
        """The data that baselines may use for the queries of a span."""
        now = self.validation_start if span == "validation" else self.test_start
        known = self._known(span).positives
        repeats_some = self.repeats != "never"
        if self.held_out is None:
            return Training(known, known, now, repeats_some=repeats_some, seed=seed)
        held = self.log.where(self.held_out[span])
        asked = np.full(len(self.log.user_ids), now, dtype=np.int64)
        asked[held.users] = held.times
        # On the users' own clocks, so that the age of an event counts from its user's query.
        history = replace(known, times=known.times + (now - asked)[known.users])
        fit = self._known("validation").positives
        return Training(fit, history, now, asked=asked, repeats_some=repeats_some, seed=seed)

    def _known(self, span: Span) -> EventLog:
        """Events that the queries of a span know."""
        if self.held_out is None:
            return self.log.before(self.validation_start if span == "validation" else self.test_start)
        later = self.held_out["test"] if span == "test" else self.held_out["test"] | self.held_out["validation"]
        return self.log.where(~later)


def _with_held_out(events: pa.Table, held_out: pa.Table) -> tuple[pa.Table, dict[Span, npt.NDArray[np.bool_]]]:
    """All events in the order of time, and which of them are held out."""
    roles = held_out["role"].to_numpy(zero_copy_only=False)
    unknown = held_out.filter(pa.array(roles != "rank"))
    joined = pa.concat_tables([events, unknown], promote_options="default").sort_by("timestamp")
    role = joined["role"].to_numpy(zero_copy_only=False)
    return joined, {"validation": role == "validation", "test": role == "test"}


def _categories(tables: PreparedTables, item_ids: ObjectArray) -> ObjectArray | None:
    items = tables.read("items", ["item_id", "category"])
    if items["category"].null_count == items.num_rows:
        return None
    known = dict(zip(items["item_id"].to_pylist(), items["category"].to_pylist(), strict=True))
    return np.array([known.get(item) or "" for item in item_ids], dtype=object)
