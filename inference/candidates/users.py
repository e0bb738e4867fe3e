"""Empty `UserColumns` for unknown users, and slices of a batch."""

from __future__ import annotations

import numpy as np

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.folding import no_state
from feature_repo.features.state import History, OffsetArray, OwnItems, UserColumns


def cold_users(num_users: int, feature_set: FeatureSet) -> UserColumns:
    """Returns the state of unknown users; the recommender also uses it when the feature store does not answer."""
    history, own = no_state(num_users)
    return UserColumns(
        known=np.zeros(num_users, dtype=np.bool_),
        numeric=np.full((num_users, len(feature_set.user_numeric)), np.nan, dtype=np.float32),
        categorical=np.zeros((num_users, len(feature_set.user_categorical)), dtype=np.int32),
        country=np.full(num_users, "", dtype=object),
        history=history,
        own=own,
    )


def span(users: UserColumns, start: int, stop: int) -> UserColumns:
    """Returns the users from `start` to `stop` (exclusive); the columns are views."""
    history, own = users.history, users.own
    events, events_at = _cut(history.offsets, start, stop)
    items, items_at = _cut(own.offsets, start, stop)
    return UserColumns(
        known=users.known[start:stop],
        numeric=users.numeric[start:stop],
        categorical=users.categorical[start:stop],
        country=users.country[start:stop],
        history=History(events, history.rows[events_at], history.grades[events_at], history.times[events_at]),
        own=OwnItems(
            items,
            own.rows[items_at],
            own.counts[items_at],
            own.negatives[items_at],
            own.grades[items_at],
            own.first[items_at],
            own.last[items_at],
        ),
    )


def _cut(offsets: OffsetArray, start: int, stop: int) -> tuple[OffsetArray, slice]:
    first = int(offsets[start])
    return offsets[start : stop + 1] - first, slice(first, int(offsets[stop]))
