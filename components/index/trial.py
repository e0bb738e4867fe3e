"""Tries sources on the validation span: the span's users ask at its start, and the tables know only earlier events.

A trial needs neither features nor towers, so that every cutoff of a training makes the same choices, also those whose
towers know the span.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from components.replay.events import Events
from feature_repo.dataset.split import Split
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.folding import GradedEvents, fold
from feature_repo.features.state import ItemColumns
from inference.candidates.batch import Batch
from inference.candidates.found import Found
from inference.candidates.query import Query
from inference.candidates.ragged import contains, offsets_from_owners, owners_from_offsets, ranks
from inference.candidates.repeats import ruled_out_keys
from inference.candidates.users import cold_users
from inference.models.artifacts import Artifacts
from inference.models.contents import Contents
from inference.models.part import Part
from inference.sources import configured
from inference.sources.protocol import Source

MOST_USERS = 1_000
DEPTH = 100  # items of a list that gain
NOISE = 0.5  # standard errors of the paired difference that a choice has to be better by

Gains = npt.NDArray[np.float64]
Keys = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trial:
    """Queries of users with earlier events, and what they chose in the validation span.

    Attributes:
        artifacts: A release without parts.
        batch: q queries at the start of the span.
        barred: query * m + row of own items that must not be recommended again, ascending.
        chosen: query * m + row of the items that the users chose and that may be recommended, ascending; each query
            has at least one.
        cold: Whether each of the chosen items had no event before the span, of any user.
        as_of: Start of the span, unix seconds.
    """

    artifacts: Artifacts
    batch: Batch
    barred: Keys
    chosen: Keys
    cold: npt.NDArray[np.bool_]
    as_of: float

    @classmethod
    def of(cls, events: Events, feature_set: FeatureSet, item_ids: npt.NDArray[np.object_], split: Split) -> Self:
        """Draws the queries.

        Args:
            events: All positive events.
            feature_set: Supplies the rule for repeats.
            item_ids: The row map [m].
            split: Supplies the span.
        """
        start, num_items = split.validation_start, len(item_ids)
        inside = (events.times >= start) & (events.times < split.test_start)
        users = np.intersect1d(events.users[inside], events.users[events.times < start])
        users = np.sort(np.random.default_rng(0).permutation(users)[:MOST_USERS])
        batch = _batch(events, users, feature_set, start)
        barred = ruled_out_keys(batch.users.own, feature_set, num_items)
        mine = inside & contains(events.users.astype(np.int64), users.astype(np.int64))
        chosen = np.unique(np.searchsorted(users, events.users[mine]) * num_items + events.rows[mine])
        items = _bare_items(item_ids, feature_set)
        artifacts = Artifacts("", feature_set, items, Contents(item_ids, {}), {}, configured())
        chosen = chosen[~contains(chosen, barred)]
        seen = np.bincount(events.rows[events.times < start], minlength=num_items) > 0
        return cls(artifacts, batch, barred, chosen, ~seen[chosen % num_items], start)

    @property
    def num_items(self) -> int:
        """Size m of the row map."""
        return len(self.artifacts.items)

    def ask(self, source: type[Source], parts: Sequence[Part], quota: int) -> Found:
        """The source's lists for all queries, without own items that must not come again.

        Args:
            source: The source to ask.
            parts: Its parts, fitted on events before `as_of`.
            quota: Length of the lists.
        """
        made = source(self.artifacts.with_parts(*parts))
        if not made.applies(self.batch).any():
            return Found.nothing(len(self.batch))
        return made(self.batch, max(quota, source.reach)).without(self.barred, self.num_items).first(quota)

    def gains(self, found: Found) -> Gains:
        """Sum of 1 / log2(2 + rank) over the chosen items among the first `DEPTH` of each query's list [q]."""
        found = found.first(DEPTH)
        owners = owners_from_offsets(found.offsets)
        hit = contains(owners * self.num_items + found.rows, self.chosen)
        discounts = 1.0 / np.log2(2.0 + ranks(found.offsets))
        gained = np.bincount(owners[hit], weights=discounts[hit], minlength=len(self.batch))
        return gained.astype(np.float64, copy=False)

    def hits(self, found: Found) -> npt.NDArray[np.bool_]:
        """Whether each chosen item is in its query's list."""
        return contains(self.chosen, np.sort(owners_from_offsets(found.offsets) * self.num_items + found.rows))

    def recalls(self, hits: npt.NDArray[np.bool_]) -> Gains:
        """Share of each query's chosen items that are hits, for the queries that chose an item."""
        queries = self.chosen // self.num_items
        asked, place = np.unique(queries, return_inverse=True)
        return np.bincount(place, weights=hits, minlength=len(asked)) / np.bincount(place, minlength=len(asked))


def surely_better(differences: Gains) -> bool:
    """Whether the mean of paired differences is above zero by more than `NOISE` standard errors."""
    if not len(differences):
        return False
    return bool(differences.mean() > NOISE * differences.std() / np.sqrt(len(differences)))


def _batch(events: Events, users: npt.NDArray[np.int32], feature_set: FeatureSet, time: float) -> Batch:
    """Queries of users at a time, with the history and the own items of the events before it."""
    mine = np.flatnonzero((events.times < time) & contains(events.users.astype(np.int64), users.astype(np.int64)))
    owners = np.searchsorted(users, events.users[mine])
    order = np.argsort(owners, kind="stable")
    mine, owners = mine[order], owners[order]
    known = GradedEvents(
        offsets_from_owners(owners, len(users)), events.rows[mine], events.grades[mine], events.times[mine]
    )
    cold = cold_users(len(users), feature_set)
    history, own = fold(cold.history, cold.own, known)
    warm = replace(cold, known=np.ones(len(users), dtype=np.bool_), history=history, own=own)
    return Batch([Query(str(user), time) for user in users.tolist()], warm)


def _bare_items(item_ids: npt.NDArray[np.object_], feature_set: FeatureSet) -> ItemColumns:
    """A catalogue of items without any property."""
    num = len(item_ids)
    return ItemColumns(
        item_ids=item_ids,
        numeric=np.full((num, len(feature_set.item_numeric)), np.nan, dtype=np.float32),
        categorical=np.zeros((num, len(feature_set.item_categorical)), dtype=np.int32),
        price=np.full(num, np.nan, dtype=np.float32),
        available=np.ones(num, dtype=np.bool_),
        created_at=np.full(num, np.nan),
        regions=np.full(num, "", dtype=object),
        min_age=np.zeros(num, dtype=np.float32),
    )
