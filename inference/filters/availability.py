"""Removes unavailable items: out of stock, not launched, not sold in the user's country, or above the user's age."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import UserColumns
from inference.candidates.batch import Batch, Mask
from inference.candidates.query import CandidateSet
from inference.filters.protocol import Filter
from inference.models.artifacts import Artifacts


@dataclass(frozen=True)
class AvailabilityFilter(Filter):
    """Checks stock, launch time, region and minimum age. An unknown country or age excludes no item."""

    artifacts: Artifacts

    name: ClassVar[str] = "availability"

    def __call__(self, batch: Batch, candidates: CandidateSet) -> Mask:
        """Returns whether each candidate is available to the user at the query's time [n]."""
        items, rows, owners = self.artifacts.items, candidates.rows, candidates.query_index
        keep = items.available[rows] & ~(items.created_at[rows] > batch.times[owners])
        if self._restricted:
            keep &= self._sold(batch, rows, owners)
        ages = self._ages(batch.users)
        if ages is not None:
            keep &= ~(items.min_age[rows] > ages[owners])
        mask: Mask = keep
        return mask

    @cached_property
    def _restricted(self) -> bool:
        return bool((self.artifacts.items.regions != "").any())

    @cached_property
    def _lists(self) -> tuple[list[frozenset[str]], npt.NDArray[np.int64]]:
        """The distinct country lists, and the index of each item's list [m]."""
        texts, which = np.unique(self.artifacts.items.regions.astype(str), return_inverse=True)
        return [frozenset(filter(None, str(text).split("|"))) for text in texts], which.reshape(-1)

    def _sold(self, batch: Batch, rows: npt.NDArray[np.int32], owners: npt.NDArray[np.int64]) -> Mask:
        lists, which = self._lists
        countries = batch.countries
        distinct = sorted(set(countries))
        sold = np.array([[not (c and allowed) or c in allowed for allowed in lists] for c in distinct])
        place = {country: index for index, country in enumerate(distinct)}
        of_query = np.array([place[country] for country in countries])
        mask: Mask = sold[of_query[owners], which[rows]]
        return mask

    def _ages(self, users: UserColumns) -> npt.NDArray[np.float32] | None:
        """Returns the minimum age of each user [q], NaN if unknown; None if the dataset has no age groups."""
        names = self.artifacts.feature_set.user_categorical
        if "age_group" not in names:
            return None
        groups = self.artifacts.feature_set.vocabularies.get("users.age_group", ())
        bounds = np.array([np.nan, *(least_age(group) for group in groups)], dtype=np.float32)
        return bounds[users.categorical[:, names.index("age_group")]]


def least_age(group: str) -> float:
    """Returns the lower bound of an age group: 18 for "18-24", 65 for "65+", 0 for "<18" and "under 18", else NaN."""
    text = group.strip().lower()
    digits = "".join(char if char.isdigit() else " " for char in text).split()
    if not digits:
        return float("nan")
    return 0.0 if text.startswith(("<", "under", "below", "-")) else float(digits[0])
