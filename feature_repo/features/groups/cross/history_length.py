"""Length of the user's history at the time of the query; every dataset has this column."""

from __future__ import annotations

import numpy as np

from feature_repo.features.groups.cross_group import Columns, CrossGroup, Pairs
from feature_repo.features.groups.facts import DatasetFacts

HISTORY_LENGTH_COLUMN = "history_length"


class HistoryLengthGroup(CrossGroup):
    """Number of events in the history, at most `state.HISTORY_LENGTH`.

    The history ends at the query, while the user's counts (`num_positive_total`) are those of the last snapshot.
    """

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:  # noqa: ARG002
        return (HISTORY_LENGTH_COLUMN,)

    def compute(self, pairs: Pairs) -> Columns:
        lengths = np.diff(pairs.users.history.offsets)
        return {HISTORY_LENGTH_COLUMN: lengths[pairs.query_index].astype(np.float64)}
