"""Runs queries through the served `Recommender` in batches.

The result is the displayed order and the retrieval order before the ranker. The recommender is used unchanged, with an
in-process scorer, so the evaluation measures what is served.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from components.evaluation.baselines.method import Listed
from components.evaluation.metrics import LIST_LENGTH
from components.evaluation.protocols.log import EventLog
from components.replay.replay import Replay
from feature_repo.features.state import IntArray, TimeArray
from feature_repo.progress import track
from inference.candidates.query import CandidateSet, Query
from inference.candidates.ragged import ranks
from inference.recommender import BATCH, Recommender

T = TypeVar("T", bound=np.generic)
DEPTH = 600  # length of the lists: all candidates of the recommender, so that slices can exclude some


class Answers(NamedTuple):
    """The recommender's answers to q queries.

    Attributes:
        retrieval: The candidates in retrieval order.
        final: The same candidates in the served order.
        found_by: Bit s is set if source s found the item at the same place of `retrieval`, 0 where it is padded
            [q, DEPTH].
    """

    retrieval: Listed
    final: Listed
    found_by: npt.NDArray[np.uint32]


def ask(recommender: Recommender, log: EventLog, users: IntArray, time: float) -> Answers:
    """The recommender's lists for users at a given time.

    Args:
        recommender: A recommender with artifacts as of `time`.
        log: The event log that defines the user codes.
        users: User codes, ascending [q].
        time: Time of every query, unix seconds.

    Raises:
        ValueError: The recommender's row map differs from the items of the log.
    """
    _require_same_items(recommender, log)
    return ask_queries(recommender, queries_of(log, users, np.full(len(users), time)), users)


def ask_replayed(replay: Replay, log: EventLog, users: IntArray, queries: Sequence[Query]) -> Answers:
    """The recommender's lists for queries at their own times, each as of the last cut before it.

    Args:
        replay: Recommenders as of cuts.
        log: The event log that defines the item rows and the user codes.
        users: User code of each query, ascending [q].
        queries: The queries [q].
    """
    rows = np.full((2, len(users), DEPTH), -1, dtype=np.int32)
    found_by = np.zeros((len(users), DEPTH), dtype=np.uint32)
    for recommender, places in replay.by_cut(queries, "recommender at each user's time"):
        _require_same_items(recommender, log)
        asked = [queries[place] for place in places]
        answers = ask_queries(recommender, asked, users[places])
        rows[0, places], rows[1, places] = answers.retrieval.rows, answers.final.rows
        found_by[places] = answers.found_by
    return Answers(Listed(users, rows[0]), Listed(users, rows[1]), found_by)


def ask_queries(recommender: Recommender, queries: Sequence[Query], users: IntArray) -> Answers:
    """The answers to queries; query i belongs to user i of `users`."""
    nothing = np.zeros((0, DEPTH), dtype=np.int32)
    retrieval, final, found_by = [nothing], [nothing], [nothing.astype(np.uint32)]
    batches = recommender.batches(queries)
    for batch in track(batches, "recommender", -(-len(queries) // BATCH)):
        retrieved = recommender.retrieve(batch)
        first = retrieved.candidates.best(DEPTH)
        retrieval.append(_shown(first, first.rows, -1))
        found_by.append(_shown(first, first.source_bits, 0))
        shown = recommender.arrange(batch, recommender.rank(batch, retrieved), DEPTH)
        final.append(_shown(shown, shown.rows, -1))
    return Answers(
        Listed(users, np.concatenate(retrieval)), Listed(users, np.concatenate(final)), np.concatenate(found_by)
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


def _shown(candidates: CandidateSet, values: npt.NDArray[T], padding: int) -> npt.NDArray[T]:
    """A value [n] of at most `DEPTH` candidates of each query in their order, padded [q, DEPTH]."""
    table = np.full((candidates.num_queries, DEPTH), padding, dtype=values.dtype)
    table[candidates.query_index, ranks(candidates.offsets)] = values
    return table
