"""Keeps out what cannot be had: out of stock, not launched, not sold in the country, not for the user's age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import UserColumns
from inference.candidates.query import CandidateSet, Query
from inference.models.artifacts import Artifacts


@dataclass(frozen=True)
class AvailabilityFilter:
    """Stock, launch, region and least age. A user whose country or age is unknown is not kept from anything."""

    artifacts: Artifacts
    name: str = "availability"

    def __call__(self, queries: Sequence[Query], users: UserColumns, candidates: CandidateSet) -> npt.NDArray[np.bool_]:
        """Whether each candidate can be had by its user at the query's time [n]."""
        items, rows, owners = self.artifacts.items, candidates.rows, candidates.query_index
        times = np.array([query.time for query in queries])
        keep = items.available[rows] & ~(items.created_at[rows] > times[owners])
        if self._restricted:
            keep &= self._sold(queries, users, rows, owners)
        ages = self._ages(users)
        if ages is not None:
            keep &= ~(items.min_age[rows] > ages[owners])
        mask: npt.NDArray[np.bool_] = keep
        return mask

    @cached_property
    def _restricted(self) -> bool:
        return bool((self.artifacts.items.regions != "").any())

    @cached_property
    def _lists(self) -> tuple[list[frozenset[str]], npt.NDArray[np.int64]]:
        """Distinct lists of countries, and which one each item has [m]."""
        texts, which = np.unique(self.artifacts.items.regions.astype(str), return_inverse=True)
        return [frozenset(filter(None, str(text).split("|"))) for text in texts], which.reshape(-1)

    def _sold(
        self,
        queries: Sequence[Query],
        users: UserColumns,
        rows: npt.NDArray[np.int32],
        owners: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.bool_]:
        lists, which = self._lists
        countries = [query.country or str(country) for query, country in zip(queries, users.country, strict=True)]
        distinct = sorted(set(countries))
        sold = np.array([[not (c and allowed) or c in allowed for allowed in lists] for c in distinct])
        place = {country: index for index, country in enumerate(distinct)}
        of_query = np.array([place[country] for country in countries])
        mask: npt.NDArray[np.bool_] = sold[of_query[owners], which[rows]]
        return mask

    def _ages(self, users: UserColumns) -> npt.NDArray[np.float32] | None:
        """Least age of each user [q], NaN where unknown; None if no age is known at all."""
        names = self.artifacts.feature_set.user_categorical
        if "age_group" not in names:
            return None
        return self.artifacts.age_bounds()[users.categorical[:, names.index("age_group")]]
