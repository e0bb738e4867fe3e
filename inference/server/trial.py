"""The trial of a loaded bundle before it is served: every stage runs once, for users with and without a history.

A stage that fails here would fail in every request, where the failure only degrades the slate; so the bundle is
rejected instead. The trial also completes lazy initialisation before the first requests. The ranker and the online
store are other processes and not tried, because a server must start without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from feature_repo.dataset.split import DAY
from feature_repo.features.state import History, OwnItems, TimeArray, UserColumns
from inference.candidates.query import Query
from inference.candidates.surfaces import SURFACES
from inference.candidates.users import cold_users
from inference.models.artifacts import Artifacts
from inference.recommender import Recommender
from inference.stages import Stages

NUM_EVENTS = 5
UNKNOWN_USER, KNOWN_USER = "", "known"


@dataclass(frozen=True)
class TrialUsers:
    """A reader that knows one user, who acted on a few items the day before."""

    artifacts: Artifacts

    def users(self, user_ids: Sequence[str], times: TimeArray) -> UserColumns:
        """Returns the state of the users [q]; only `KNOWN_USER` is known."""
        known = np.array([user == KNOWN_USER for user in user_ids], dtype=np.bool_)
        num_events = min(NUM_EVENTS, len(self.artifacts.items))
        offsets = np.concatenate(([0], np.cumsum(known * num_events))).astype(np.int64)
        total = int(offsets[-1])
        rows = np.tile(np.arange(num_events, dtype=np.int32), int(known.sum()))
        at = np.repeat(times[known] - DAY, num_events)
        grades, counts = np.ones(total, dtype=np.int8), np.ones(total, dtype=np.float32)
        return replace(
            cold_users(len(user_ids), self.artifacts.feature_set),
            known=known,
            history=History(offsets, rows, grades, at),
            own=OwnItems(offsets, rows, counts, np.zeros(total, dtype=np.float32), grades, at, at),
        )


def try_out(artifacts: Artifacts, time: float) -> None:
    """Runs the recommender for every surface, and computes the ranker's features.

    Args:
        artifacts: The artifacts of a bundle.
        time: Time of the queries, unix seconds.

    Raises:
        Exception: Any exception that a stage raises.
    """
    seed = str(artifacts.items.item_ids[0])
    queries = [Query(user, time, surface, item_id=seed) for surface in SURFACES for user in (UNKNOWN_USER, KNOWN_USER)]
    recommender = Recommender(artifacts, Stages.of(artifacts, TrialUsers(artifacts)))
    recommender.recommend(queries)
    recommender.candidates(queries)
