"""Tables of neighbours: for each item the items that it votes for, as sparse rows of weights, stored as npz.

A table gives the items that a history votes for, and the closeness of two items. `Neighbours` are items that the same
users chose, `Followers` are items that users chose next, `Predictors` are the weights of a linear model, and
`ContentNeighbours` are items that say the same. The module needs only numpy; `components/index` fits the tables.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar, Self
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from feature_repo.errors import BundleError
from feature_repo.features.state import FloatArray, IntArray, OffsetArray
from feature_repo.storage.files import atomic_write
from inference.models.part import Part

_CHUNK = 4_000_000  # votes per chunk: 32 MB per column
_DENSE = 4  # sums per vote up to which all sums are held: at most 128 MB per chunk


@dataclass(frozen=True)
class Neighbours(Part):
    """At most 100 neighbours for each of m items, closest first.

    Attributes:
        offsets: Item i has the neighbours `offsets[i]:offsets[i + 1]` [m + 1].
        rows: Neighbouring item rows [n]; never the item itself.
        weights: Vote for each neighbour [n]; cosines of the co-visitation counts in (0, 1].
    """

    offsets: OffsetArray
    rows: IntArray
    weights: FloatArray

    paths: ClassVar[tuple[str, ...]] = ("neighbours.npz",)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def num_items(self) -> int:
        """Size of the row map."""
        return len(self)

    def of(self, row: int) -> tuple[IntArray, FloatArray]:
        """Returns the neighbours of one item and their weights, closest first."""
        span = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        return self.rows[span], self.weights[span]

    def vote(
        self, offsets: OffsetArray, rows: IntArray, weights: FloatArray, k: int
    ) -> tuple[OffsetArray, IntArray, FloatArray]:
        """Returns the k items with the most votes from each query's seeds.

        Args:
            offsets: Query i has the seeds `offsets[i]:offsets[i + 1]` [q + 1].
            rows: Seed item rows [n].
            weights: Vote of each seed [n].
            k: Number of items per query.

        Returns:
            Offsets [q + 1], item rows and summed votes, best first within a query (ties by row). The result includes
            seeds that are neighbours of other seeds.
        """
        num_queries = len(offsets) - 1
        num_votes = np.concatenate(([0], np.cumsum(np.diff(self.offsets)[rows])))[offsets]
        parts: list[tuple[npt.NDArray[np.int64], IntArray, FloatArray]] = []
        start = 0
        while start < num_queries:
            stop = int(np.searchsorted(num_votes, num_votes[start] + _CHUNK, side="right")) - 1
            stop = min(max(stop, start + 1), num_queries)
            parts.append(self._vote_chunk(offsets[start : stop + 1], rows, weights, k))
            start = stop
        counts = np.concatenate([part[0] for part in parts]) if parts else np.zeros(0, dtype=np.int64)
        found = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        if not parts:
            return found, np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)
        return found, np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts])

    def _vote_chunk(
        self, offsets: OffsetArray, rows: IntArray, weights: FloatArray, k: int
    ) -> tuple[npt.NDArray[np.int64], IntArray, FloatArray]:
        """Returns counts [q], rows and votes of a few queries."""
        num_queries, num_items = len(offsets) - 1, len(self)
        span = slice(int(offsets[0]), int(offsets[-1]))
        positions, seed_of_vote = _expand(self.offsets, rows[span])
        query_of_seed = np.repeat(np.arange(num_queries), np.diff(offsets))
        keys = query_of_seed[seed_of_vote] * num_items + self.rows[positions]
        votes = weights[span][seed_of_vote] * self.weights[positions]
        keys, total = _summed(keys, votes, num_queries * num_items)
        query, row = np.divmod(keys, num_items)
        best = np.lexsort((row, -total, query))
        per_query = np.bincount(query, minlength=num_queries)
        starts = np.repeat(np.cumsum(per_query) - per_query, per_query)
        best = best[np.arange(len(best)) - starts < k]
        return np.minimum(per_query, k), row[best].astype(np.int32), total[best].astype(np.float32)

    def weight(self, left: IntArray, right: IntArray) -> FloatArray:
        """Returns the weight of `right[i]` as a neighbour of `left[i]` [n]; 0 if it is none or `left[i]` is -1."""
        seeds, seed = np.unique(left, return_inverse=True)
        known = seeds >= 0
        positions, seed_of_neighbour = _expand(self.offsets, seeds[known])
        if not len(positions):
            return np.zeros(len(left), dtype=np.float32)
        base = len(self)
        seed_of_neighbour = seed_of_neighbour + int(np.count_nonzero(~known))
        keys = seed_of_neighbour * base + self.rows[positions]
        order = np.argsort(keys)
        keys = keys[order]
        wanted = seed.reshape(-1) * base + right
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        hit = keys[at] == wanted
        return np.where(hit, self.weights[positions[order[at]]], np.float32(0)).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Writes the arrays and the settings as npz without objects."""
        with atomic_write(folder / self.paths[0]) as temporary, temporary.open("wb") as file:
            np.savez(file, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, folder: Path, num_threads: int = 1) -> Self:  # noqa: ARG003
        """Loads the table from a folder.

        Raises:
            BundleError: The file is missing, damaged, or its arrays disagree.
        """
        path = folder / cls.paths[0]
        try:
            with np.load(path, allow_pickle=False) as arrays:
                stored = {field.name: arrays[field.name] for field in fields(cls)}
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            raise BundleError(f"The neighbours {path} cannot be read: build the index again.") from error
        found = cls(**{name: value if value.ndim else value.item() for name, value in stored.items()})
        if len(found.rows) != len(found.weights) or found.offsets[-1] != len(found.rows):
            raise BundleError(f"The neighbours {path} contain arrays that do not match: build the index again.")
        return found


@dataclass(frozen=True)
class Followers(Neighbours):
    """Items that users chose soon after an item; the weights are smoothed shares of its transitions, in (0, 1).

    Attributes:
        fade: Factor of the vote of each event further back in the history, in (0, 1).
    """

    fade: float

    paths: ClassVar[tuple[str, ...]] = ("followers.npz",)


@dataclass(frozen=True)
class Predictors(Neighbours):
    """Items with a positive weight in a linear model that predicts an item from the other items of a history.

    Attributes:
        half_life_days: Days in which an event of the history loses half its weight; infinite for no decay.
    """

    half_life_days: float

    paths: ClassVar[tuple[str, ...]] = ("predictors.npz",)


@dataclass(frozen=True)
class ContentNeighbours(Neighbours):
    """Items with the most similar content, also those without an event; the weights are powers of cosines in (0, 1]."""

    paths: ClassVar[tuple[str, ...]] = ("content_neighbours.npz",)
    required: ClassVar[bool] = False  # a log may have no content, and a release may not ask for the neighbours


def _expand(offsets: OffsetArray, rows: IntArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Returns the positions of all neighbours of `rows`, and for each position the index of its row in `rows`."""
    starts = offsets[rows]
    lengths = offsets[np.asarray(rows) + 1] - starts
    owner = np.repeat(np.arange(len(rows)), lengths)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return starts[owner] + within, owner


def _summed(
    keys: npt.NDArray[np.int64], votes: FloatArray, num_keys: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Returns the distinct keys with a positive sum of votes, ascending, and the sums.

    An array of all keys is several times as fast as sorting the votes, as long as the array is not much longer.
    """
    if num_keys <= _DENSE * len(keys):
        total = np.bincount(keys, weights=votes, minlength=num_keys).astype(np.float64, copy=False)
        found = np.flatnonzero(total > 0)
        return found, total[found]
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    if not len(first):
        return keys, np.zeros(0)
    sums: npt.NDArray[np.float64] = np.add.reduceat(votes[order].astype(np.float64), first)
    return keys[first][sums > 0], sums[sums > 0]
