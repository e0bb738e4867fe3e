"""Runs queries through the served `Recommender` in batches.

The result is the final order and the retrieval order before the ranker. The recommender is used unchanged, with an
in-process scorer, so the evaluation measures what is served.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.evaluation.baselines.method import Listed
from components.evaluation.metrics import LIST_LENGTH
from components.evaluation.protocols.log import EventLog
from components.replay.replay import Replay
from feature_repo.features.state import IntArray, TimeArray
from feature_repo.progress import track
from inference.candidates.query import CandidateSet, Query
from inference.recommender import BATCH, Recommender

DEPTH = 600  # length of the lists: all candidates of the recommender, so that slices can exclude some


def ask(recommender: Recommender, log: EventLog, users: IntArray, time: float) -> tuple[Listed, Listed]:
    """The recommender's lists for users at a given time.

    Args:
        recommender: A recommender with artifacts as of `time`.
        log: The event log that defines the user codes.
        users: User codes, ascending [q].
        time: Time of every query, unix seconds.

    Returns:
        Retrieval order and final order.

    Raises:
        ValueError: The recommender's row map differs from the items of the log.
    """
    _require_same_items(recommender, log)
    return ask_queries(recommender, queries_of(log, users, np.full(len(users), time)), users)


def ask_replayed(replay: Replay, log: EventLog, users: IntArray, queries: Sequence[Query]) -> tuple[Listed, Listed]:
    """The recommender's lists for queries at their own times, each as of the last cut before it.

    Args:
        replay: Recommenders as of cuts.
        log: The event log that defines the item rows and the user codes.
        users: User code of each query, ascending [q].
        queries: The queries [q].

    Returns:
        Retrieval order and final order.
    """
    rows = np.full((2, len(users), DEPTH), -1, dtype=np.int32)
    for recommender, places in replay.by_cut(queries, "recommender at each user's time"):
        _require_same_items(recommender, log)
        asked = [queries[place] for place in places]
        for number, listed in enumerate(ask_queries(recommender, asked, users[places])):
            rows[number, places] = listed.rows
    return Listed(users, rows[0]), Listed(users, rows[1])


def ask_queries(recommender: Recommender, queries: Sequence[Query], users: IntArray) -> tuple[Listed, Listed]:
    """Retrieval order and final order of queries; query i belongs to user i of `users`."""
    retrieval, final = [], []
    batches = recommender.batches(queries)
    for batch in track(batches, "recommender", -(-len(queries) // BATCH)):
        retrieved = recommender.retrieve(batch)
        retrieval.append(_padded(retrieved.candidates))
        final.append(_padded(recommender.rank(batch, retrieved)))
    nothing = np.zeros((0, DEPTH), dtype=np.int32)
    return (
        Listed(users, np.concatenate([nothing, *retrieval])),
        Listed(users, np.concatenate([nothing, *final])),
    )


def queries_of(log: EventLog, users: IntArray, times: TimeArray) -> list[Query]:
    """A query for each user [q] at a time in unix seconds [q]."""
    return [
        Query(user_id=user_id, time=time, count=LIST_LENGTH, request_id=f"evaluation-{place}")
        for place, (user_id, time) in enumerate(zip(log.user_ids[users].tolist(), times.tolist(), strict=True))
    ]


def _require_same_items(recommender: Recommender, log: EventLog) -> None:
    if not np.array_equal(recommender.artifacts.items.item_ids, log.item_ids):
        raise ValueError("The recommender's items are not those of the log: build features from the same tables.")


def _padded(candidates: CandidateSet) -> IntArray:
    """The first `DEPTH` candidates of each query, best first, ties by row, padded with -1 [q, DEPTH]."""
    owners = candidates.query_index
    order = np.lexsort((candidates.rows, -candidates.score, owners))
    place = np.arange(len(order)) - candidates.offsets[owners]
    near = place < DEPTH
    rows = np.full((candidates.num_queries, DEPTH), -1, dtype=np.int32)
    rows[owners[near], place[near]] = candidates.rows[order[near]]
    return rows
