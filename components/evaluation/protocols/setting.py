"""A log prepared for an evaluation: its events, its spans, and the data that each protocol allows a model to use.

Reads only prepared tables. Under leave-one-out (`leave_one_out.py`) parameters are fitted on events before the
validation start, while the history extends to the test start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.evaluation.baselines.method import Training
from components.evaluation.protocols.log import EventLog, ObjectArray, microseconds
from components.evaluation.protocols.protocol import Task, Tasks, make_task, make_tasks, ruled_out
from feature_repo.dataset.repeats import Repeats
from feature_repo.dataset.tables import PreparedTables, item_universe

Protocol = Literal["temporal", "leave-one-out"]
PROTOCOL_KEY = "protocol"


@dataclass(frozen=True, slots=True)
class Setting:
    """A log under a protocol; times are microseconds.

    Attributes:
        dataset: Name of the dataset.
        protocol: The evaluation protocol.
        log: All clean events.
        validation_start, test_start, end: Bounds of the spans; the test span includes `end`.
        fit_until: The tested parameters are fitted on events before this time.
        repeats: Which own items may come again.
        strongest: Grade of the strongest objective.
        categories: Category of each item row [m], "" if unknown; None if no item has a category.
    """

    dataset: str
    protocol: Protocol
    log: EventLog
    validation_start: int
    test_start: int
    end: int
    fit_until: int
    repeats: Repeats
    strongest: int
    categories: ObjectArray | None

    @classmethod
    def open(cls, tables: PreparedTables) -> Setting:
        """Reads prepared tables, or the output of `leave_one_out`."""
        item_ids = item_universe(tables)
        columns = ["user_id", "item_id", "timestamp", "grade"]
        split, config = tables.split, tables.config
        protocol: Protocol = tables.description.get(PROTOCOL_KEY, "temporal")
        validation_start, test_start = microseconds(split.validation_start), microseconds(split.test_start)
        repeats: Repeats = config.recommend.repeats
        if protocol == "leave-one-out" and repeats != "always":
            repeats = "never"
        return cls(
            dataset=config.name,
            protocol=protocol,
            log=EventLog.from_table(tables.read("interactions", columns), item_ids),
            validation_start=validation_start,
            test_start=test_start,
            end=microseconds(split.log_end),
            fit_until=test_start if protocol == "temporal" else validation_start,
            repeats=repeats,
            strongest=len(tables.objectives),
            categories=_categories(tables, item_ids),
        )

    def tasks(self) -> Tasks:
        """The test task and its slices."""
        return make_tasks(self.log, self.test_start, self.end, self.repeats, self.strongest)

    def validation_task(self) -> Task:
        """The same kind of task on the validation span, for choosing settings."""
        known = self.log.before(self.validation_start)
        excluded = ruled_out(known, self.repeats, self.strongest)
        return make_task(self.log, self.validation_start, self.test_start - 1, excluded)

    def training(self, span: Literal["validation", "test"], seed: int = 0) -> Training:
        """The data that baselines may use at the start of a span."""
        now = self.validation_start if span == "validation" else self.test_start
        history = self.log.before(now).positives
        fit = history.before(min(self.fit_until, now))
        return Training(fit, history, now, repeats_some=self.repeats != "never", seed=seed)


def _categories(tables: PreparedTables, item_ids: ObjectArray) -> ObjectArray | None:
    items = tables.read("items", ["item_id", "category"])
    if items["category"].null_count == items.num_rows:
        return None
    known = dict(zip(items["item_id"].to_pylist(), items["category"].to_pylist(), strict=True))
    return np.array([known.get(item) or "" for item in item_ids], dtype=object)
