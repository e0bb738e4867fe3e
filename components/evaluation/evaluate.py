"""Compares methods on the tasks of a log: all figures, intervals and slices, and the lists behind them.

Writes the files of contract 2: `evaluation.json` and `evaluation/lists.parquet`. The caller passes the `Method`s that
make the lists. Averages include only users with relevant items.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.evaluation import metrics
from components.evaluation.baselines.method import Method
from components.evaluation.bootstrap import Interval, Resampled, Scores, resample
from components.evaluation.gate.gate import FUNNEL
from components.evaluation.metrics import LIST_LENGTH
from components.evaluation.protocols.log import EventLog, ObjectArray
from components.evaluation.protocols.protocol import Task, Tasks
from components.evaluation.scores import ndcg_scores
from components.evaluation.search import Absent
from components.evaluation.slices import Compared, Slice, compare_slices, slices_of
from feature_repo.dataset.tables import TIMESTAMP
from feature_repo.features.state import IntArray
from feature_repo.progress import track
from feature_repo.storage.files import write_json, write_parquet

RETRIEVAL = "retrieval"
METHODS = ("popular", "own", "markov", "itemknn", "ease", "als", "retrieval", "funnel")
LISTED = 100
EVALUATION_FILE = "evaluation.json"
LISTS_FILE = Path("evaluation") / "lists.parquet"
LISTS_SCHEMA = pa.schema(
    {
        "method": pa.string(),
        "user_id": pa.string(),
        "item_id": pa.string(),
        "rank": pa.int32(),
        "time": TIMESTAMP,
    }
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A method's result on one task.

    Attributes:
        rows: The method's lists [q, `LIST_LENGTH`], padded with -1.
        values: Metric -> value of each query [q].
        figures: Means over queries, and coverage.
    """

    rows: IntArray
    values: Mapping[str, npt.NDArray[np.float64]]
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """All measured results.

    Attributes:
        tasks: The evaluated tasks.
        outcomes: Method -> result on the test task; absent methods are in `absent`.
        absent: Method -> reason why it does not apply.
        slices: Slice -> (number of users, method -> figures); without figures if the slice has no users.
        compared: Part of the test task -> what `compare_slices` measured; empty without users, funnel or baseline.
        details: Method -> novelty, Gini, hit rate by category, figures on warm items.
        scores: NDCG@20 of every present method by relevant item, None without users.
        intervals: Bootstrap of the scores over users, days and items, None without users.
        item_ids: The row map.
        user_ids: User ids by code.
    """

    tasks: Tasks
    outcomes: Mapping[str, Outcome]
    absent: Mapping[str, str]
    slices: Mapping[str, tuple[int, Mapping[str, Mapping[str, float]]]]
    compared: Mapping[str, Mapping[str, Any]]
    details: Mapping[str, Mapping[str, Any]]
    scores: Scores | None
    intervals: Resampled | None
    item_ids: ObjectArray
    user_ids: ObjectArray

    def leads(self) -> dict[str, Interval]:
        """Method -> NDCG@20 of the funnel minus that of the method, paired; empty without users."""
        drawn = self.intervals
        if drawn is None or FUNNEL not in self.outcomes:
            return {}
        return {name: drawn.difference(FUNNEL, name) for name in self.outcomes if name != FUNNEL}

    def summary(self) -> dict[str, Any]:
        """The measured part of `evaluation.json`."""
        methods: dict[str, Any] = {}
        for name in METHODS:
            if name in self.outcomes:
                methods[name] = dict(self.outcomes[name].figures)
            elif name in self.absent:
                methods[name] = {"absent": self.absent[name]}
        intervals: dict[str, Any] = {}
        if self.intervals is not None:
            for name in self.outcomes:
                interval = self.intervals.interval(name)
                intervals[name] = {"ndcg@20": [interval.low, interval.high]}
        leads = {name: asdict(lead) for name, lead in self.leads().items()}
        return {
            "users": len(set(self.user_ids[self.tasks.test.users].tolist())),
            "queries": len(self.tasks.test),
            "items": len(self.item_ids),
            "methods": methods,
            "intervals": intervals,
            "leads": leads,
            "slices": {
                name: {"users": users, "methods": {method: dict(figures) for method, figures in methods.items()}}
                for name, (users, methods) in self.slices.items()
            }
            | {name: dict(part) for name, part in self.compared.items()},
            "details": {name: dict(detail) for name, detail in self.details.items()},
        }

    def lists(self) -> pa.Table:
        """The first `LISTED` items of every method and query; ranks from 0, and the time of the query."""
        users, times = self.user_ids[self.tasks.test.users], self.tasks.test.times
        parts = [LISTS_SCHEMA.empty_table()]
        for name, outcome in self.outcomes.items():
            top = outcome.rows[:, :LISTED]
            query, rank = np.nonzero(top >= 0)
            columns = [
                pa.repeat(pa.scalar(name), len(query)),
                pa.array(users[query], pa.string()),
                pa.array(self.item_ids[top[query, rank]], pa.string()),
                pa.array(rank.astype(np.int32)),
                pa.array(times[query], TIMESTAMP),
            ]
            parts.append(pa.Table.from_arrays(columns, schema=LISTS_SCHEMA))
        return pa.concat_tables(parts)


def evaluate(
    log: EventLog,
    tasks: Tasks,
    methods: Mapping[str, Method | Absent],
    *,
    known: EventLog,
    categories: ObjectArray | None = None,
    countries: ObjectArray | None = None,
    seed: int = 0,
) -> EvaluationResult:
    """Evaluates every method on every task.

    Args:
        log: The log that the user codes of the tasks refer to, with the events of the span.
        tasks: The test task and its slices.
        methods: Name -> method, or the reason why it is absent; in the order of the report.
        known: Events before the test start, whose popularity defines novelty.
        categories: Category of each item row [m], "" if unknown.
        countries: Country of each user code [u], "" if unknown.
        seed: Seed of the bootstrap.
    """
    num_items = len(log.item_ids)
    history = known.positives
    pairs = np.unique(history.users.astype(np.int64) * num_items + history.rows)
    popularity = np.bincount(pairs % num_items, minlength=num_items)
    absent = {name: method.reason for name, method in methods.items() if isinstance(method, Absent)}
    present = {name: method for name, method in methods.items() if not isinstance(method, Absent)}
    outcomes: dict[str, Outcome] = {}
    slices: dict[str, tuple[int, dict[str, Mapping[str, float]]]] = {}
    details: dict[str, dict[str, Any]] = {}
    for name, method in track(present.items(), "evaluation", len(present)):
        test = _ask(method, tasks.test, num_items)
        outcomes[name] = test
        for slice_name, task, figures in _slices(method, tasks, test, num_items):
            asked = slices.setdefault(slice_name, (task.num_users(log), {}))[1]
            if len(task):
                asked[name] = figures
        details[name] = {
            "novelty@10": metrics.novelty(test.rows, popularity),
            "gini@10": metrics.gini(test.rows, num_items),
            "warm_items": dict(_relist(test, tasks.test, tasks.warm_items, num_items)),
        }
        if categories is not None:
            details[name]["categories"] = metrics.category_hit_rate(test.rows, tasks.test.relevant, categories)
    scores: Scores | None = None
    if len(tasks.test) and outcomes:
        lists = {name: outcome.rows for name, outcome in outcomes.items()}
        scores = ndcg_scores(lists, tasks.test, log)
    return EvaluationResult(
        tasks=tasks,
        outcomes=outcomes,
        absent=absent,
        slices=slices,
        compared=_compared(outcomes, slices_of(log, tasks.test, popularity, categories, countries), tasks, log, seed),
        details=details,
        scores=scores,
        intervals=None if scores is None else resample(scores, seed=seed),
        item_ids=log.item_ids,
        user_ids=log.user_ids,
    )


def best_baseline(outcomes: Mapping[str, Outcome]) -> str | None:
    """The baseline with the best NDCG@20; None without a baseline."""
    baselines = [name for name in outcomes if name not in (FUNNEL, RETRIEVAL)]
    return max(baselines, key=lambda name: outcomes[name].figures["ndcg@20"], default=None)


def write_evaluation(out_dir: Path, result: EvaluationResult, about: Mapping[str, Any]) -> dict[str, Any]:
    """Writes `evaluation.json` and `evaluation/lists.parquet`, the lists first.

    Args:
        out_dir: Folder of both files, such as `build`.
        result: The measured results.
        about: Further content of the file: dataset, protocol, recipe, seconds, and more.

    Returns:
        Content of the file.
    """
    content = {**{key: about[key] for key in ("dataset", "protocol", "recipe")}, **result.summary(), **about}
    write_parquet(out_dir / LISTS_FILE, result.lists())
    write_json(out_dir / EVALUATION_FILE, finite(content))
    return content


def finite(content: Any) -> Any:
    """Nested content with non-finite numbers as None; numbers keep all digits, so that lists reproduce them."""
    if isinstance(content, Mapping):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [finite(value) for value in content]
    if isinstance(content, (float, np.floating)):
        return float(content) if math.isfinite(content) else None
    return content


def _compared(
    outcomes: Mapping[str, Outcome], slices: Iterator[Slice], tasks: Tasks, log: EventLog, seed: int
) -> dict[str, dict[str, Any]]:
    """Funnel, retrieval and the best baseline on parts of the test task."""
    baseline = best_baseline(outcomes)
    if baseline is None or FUNNEL not in outcomes:
        return {}
    lists = {name: outcomes[name].rows for name in (FUNNEL, RETRIEVAL, baseline) if name in outcomes}
    return compare_slices(slices, Compared(lists, FUNNEL, baseline), tasks.test, log, seed=seed)


def _ask(method: Method, task: Task, num_items: int) -> Outcome:
    rows = method.lists(task.users, task.excluded, LIST_LENGTH)
    values = metrics.per_query(rows, task.relevant)
    return Outcome(rows, values, metrics.summary(values, rows, num_items))


def _relist(test: Outcome, task: Task, part: Task, num_items: int) -> dict[str, float]:
    """Figures of the same lists with fewer relevant items."""
    rows = test.rows[np.searchsorted(task.users, part.users)]
    return metrics.summary(metrics.per_query(rows, part.relevant), rows, num_items)


def _slices(
    method: Method, tasks: Tasks, test: Outcome, num_items: int
) -> Iterator[tuple[str, Task, Mapping[str, float]]]:
    if tasks.new_items is not None:
        yield "new_items", tasks.new_items, _ask(method, tasks.new_items, num_items).figures
    yield "cold_users", tasks.cold_users, _ask(method, tasks.cold_users, num_items).figures
    yield "cold_items", tasks.cold_items, _relist(test, tasks.test, tasks.cold_items, num_items)
