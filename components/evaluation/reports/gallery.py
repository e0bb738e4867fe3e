"""The error gallery: users for whom the funnel loses or wins most NDCG@20 against the best baseline.

Collects what a person needs to judge such a case: the history, the items that were taken, the sources that found them,
and both lists. `gallery_page.py` shows it. The content is bounded by the constants below, so it fits into
`evaluation.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.evaluation.evaluate import EvaluationResult, best_baseline
from components.evaluation.funnel import DEPTH, Answers
from components.evaluation.gate.gate import FUNNEL
from components.evaluation.protocols.log import MICROSECONDS, EventLog, Int64Array, Ragged
from feature_repo.dataset.tables import PreparedTables, unix_micros
from feature_repo.features.state import IntArray

NUM_LOSSES, NUM_WINS = 12, 4
MOST_EVENTS, MOST_TAKEN, MOST_LISTED = 8, 8, 10
TITLE_LENGTH = 60
METRIC = "ndcg@20"


def gallery(
    result: EvaluationResult, log: EventLog, tables: PreparedTables, answers: Answers, sources: Sequence[str]
) -> dict[str, Any]:
    """The content `gallery` of `evaluation.json`.

    Args:
        result: The measured results.
        log: The log that the tasks refer to.
        tables: The prepared tables, with titles and event types.
        answers: The recommender's answers to the users of the tasks.
        sources: Names of the sources in the order of their bits.

    Returns:
        `against` (the baseline), `losses` and `wins` with an entry for each user, the greatest difference first. Empty
        without users, funnel or baseline.
    """
    against = best_baseline(result.outcomes)
    if against is None or FUNNEL not in result.outcomes or not len(result.tasks.test):
        return {}
    gap = result.outcomes[FUNNEL].values[METRIC] - result.outcomes[against].values[METRIC]
    losses, wins = _chosen(gap, result, NUM_LOSSES), _chosen(-gap, result, NUM_WINS)
    queries = np.concatenate([losses, wins])
    cases = _Cases.of(queries, against, result, log, tables, answers, sources)
    entries = [cases.entry(place) for place in range(len(queries))]
    return {"against": against, "losses": entries[: len(losses)], "wins": entries[len(losses) :]}


def _chosen(gap: npt.NDArray[np.float64], result: EvaluationResult, most: int) -> Int64Array:
    """Places of the queries with the lowest negative gap, one a user, the lowest first [at most `most`].

    Of equal gaps the query with more relevant items comes first, because it says more.
    """
    task = result.tasks.test
    order = np.lexsort((task.users, -task.relevant.counts, gap))
    order = order[gap[order] < 0]
    ids = result.user_ids[task.users[order]].astype(str)
    first = np.sort(np.unique(ids, return_index=True)[1]) if len(ids) else np.zeros(0, dtype=np.int64)
    return order[first[:most]]


@dataclass(frozen=True, slots=True)
class _Cases:
    """What is known of c chosen queries.

    Attributes:
        queries: Place of each query in the test task [c].
        found: All candidates in the order of the funnel [c, DEPTH].
        retrieved: All candidates in retrieval order [c, DEPTH], aligned with `bits`.
        bits: Sources of each candidate, see `Answers.found_by` [c, DEPTH].
        events: Event type of an event by (user, item, microseconds).
        titles: Title of an item by id.
    """

    queries: Int64Array
    against: str
    result: EvaluationResult
    log: EventLog
    found: IntArray
    retrieved: IntArray
    bits: npt.NDArray[np.uint32]
    sources: Sequence[str]
    objectives: Sequence[str]
    events: Mapping[tuple[str, str, int], str]
    titles: Mapping[str, str]

    @classmethod
    def of(
        cls,
        queries: Int64Array,
        against: str,
        result: EvaluationResult,
        log: EventLog,
        tables: PreparedTables,
        answers: Answers,
        sources: Sequence[str],
    ) -> _Cases:
        task = result.tasks.test
        users = task.users[queries]
        excluded: Ragged = task.excluded.take(queries)
        mine = np.searchsorted(answers.retrieval.users, users)
        return cls(
            queries=queries,
            against=against,
            result=result,
            log=log,
            found=answers.final.lists(users, excluded, DEPTH),
            retrieved=answers.retrieval.rows[mine],
            bits=answers.found_by[mine],
            sources=sources,
            objectives=tables.objectives,
            events=_event_types(tables, log.user_ids[users].tolist()),
            titles=_titles(tables),
        )

    def entry(self, case: int) -> dict[str, Any]:
        """The content of one query."""
        query, task, outcomes = int(self.queries[case]), self.result.tasks.test, self.result.outcomes
        user, time = int(task.users[query]), int(task.times[query])
        relevant = task.relevant.take(np.array([query])).rows
        both = (FUNNEL, self.against)
        return {
            "user_id": str(self.log.user_ids[user]),
            "time": time / MICROSECONDS,
            "ndcg@20": {name: float(outcomes[name].values[METRIC][query]) for name in both},
            **self._history(user, time),
            "num_taken": len(relevant),
            "taken": self._taken(case, relevant),
            "lists": {
                name: [
                    {**self._item(row), "hit": bool(row in relevant)}
                    for row in outcomes[name].rows[query, :MOST_LISTED].tolist()
                    if row >= 0
                ]
                for name in both
            },
        }

    def _item(self, row: int) -> dict[str, str]:
        item = str(self.log.item_ids[row])
        return {"item_id": item, "title": self.titles.get(item, item)}

    def _history(self, user: int, time: int) -> dict[str, Any]:
        """The newest events before the query, newest first, with their ages in seconds."""
        known = np.flatnonzero((self.log.users == user) & (self.log.times < time))
        newest = known[np.argsort(-self.log.times[known], kind="stable")][:MOST_EVENTS]
        events = []
        for place in newest.tolist():
            item, moment = self._item(int(self.log.rows[place])), int(self.log.times[place])
            key = str(self.log.user_ids[user]), item["item_id"], moment
            named = self.events.get(key) or self._graded(int(self.log.grades[place]))
            events.append({**item, "event": named, "age": (time - moment) / MICROSECONDS})
        return {"num_events": len(known), "history": events}

    def _graded(self, grade: int) -> str:
        """Name of an event whose type is unknown: held-out events have a grade only."""
        return self.objectives[grade - 1] if grade > 0 else "other"

    def _taken(self, case: int, relevant: IntArray) -> list[dict[str, Any]]:
        """The relevant items in the order of the funnel; places count from 1, None means that the list lacks the item.

        `sources` is empty if no source found the item.
        """
        query = self.queries[case]
        baseline = self.result.outcomes[self.against].rows[query]
        taken = []
        for row in relevant.tolist():
            at = np.flatnonzero(self.retrieved[case] == row)
            bits = int(self.bits[case, at[0]]) if len(at) else 0
            taken.append(
                {
                    **self._item(row),
                    "place": _place(self.found[case], row),
                    "baseline_place": _place(baseline, row),
                    "sources": [name for number, name in enumerate(self.sources) if bits >> number & 1],
                }
            )
        taken.sort(key=lambda entry: entry["place"] or DEPTH + 1)
        return taken[:MOST_TAKEN]


def _place(rows: IntArray, row: int) -> int | None:
    """Place of an item in a list, from 1; None if it is not listed."""
    at = np.flatnonzero(rows == row)
    return int(at[0]) + 1 if len(at) else None


def _event_types(tables: PreparedTables, user_ids: Sequence[str]) -> dict[tuple[str, str, int], str]:
    """Event types of the interactions of some users, by user, item and microseconds."""
    columns = ["user_id", "item_id", "timestamp", "event_type"]
    events = tables.read("interactions", columns)
    mine = events.filter(pc.is_in(events["user_id"], value_set=pa.array(sorted(set(user_ids)), pa.string())))
    keys = zip(
        mine["user_id"].to_pylist(), mine["item_id"].to_pylist(), unix_micros(mine["timestamp"]).tolist(), strict=True
    )
    return dict(zip(keys, mine["event_type"].to_pylist(), strict=True))


def _titles(tables: PreparedTables) -> dict[str, str]:
    """Latest title of each item that has one, shortened to `TITLE_LENGTH`."""
    items = tables.read("items", ["item_id", "title"])
    items = items.filter(pc.is_valid(items["title"]))
    ids, titles = items["item_id"].to_pylist(), items["title"].to_pylist()
    return {item: _shortened(title) for item, title in zip(ids, titles, strict=True)}


def _shortened(title: str) -> str:
    return title if len(title) <= TITLE_LENGTH else f"{title[:TITLE_LENGTH]}…"
