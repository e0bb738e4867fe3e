"""Training examples: items that users chose and that the recommender could have shown them.

An example is a distinct (user, cell, item). The examples of the same user and cell form a group with a shared history,
so that a basket of twenty items is encoded once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.retrieval.log import IndexArray, PositiveLog
from feature_repo.dataset.repeats import least_ruled_out
from feature_repo.features.state import IntArray, OffsetArray, TimeArray


@dataclass(frozen=True, slots=True)
class Examples:
    """Training examples of the towers: the distinct items chosen per user and cell, sorted by cell, then user.

    Attributes:
        offsets: [g + 1], group i holds the examples `offsets[i]:offsets[i + 1]`.
        users: User of each group [g].
        cells: Cell of each group [g].
        times: Unix seconds of each group's first event [g].
        request: Codes of the request columns of that event [g, columns].
        ends: End of the history: position in the log after the last event of an earlier cell [g].
        stops: Position in the log after the last event of the group's cell [g].
        rows: Item rows [n].
    """

    offsets: OffsetArray
    users: IntArray
    cells: IntArray
    times: TimeArray
    request: IntArray
    ends: IndexArray
    stops: IndexArray
    rows: IntArray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def num_groups(self) -> int:
        """Number g of groups."""
        return len(self.users)

    @classmethod
    def of(cls, log: PositiveLog, repeats: str, until: float) -> Examples:
        """Positive pairs before `until` that `repeats` allowed the recommender to show."""
        at = np.flatnonzero(log.cells < log.grid.cell_from(until))
        pair = log.users[at].astype(np.int64) * (int(log.rows.max(initial=0)) + 1) + log.rows[at]
        order = np.lexsort((at, pair))
        pair, at = pair[order], at[order]
        cells = log.cells[at]
        same_pair = np.diff(pair, prepend=-1) == 0
        kept = ~(same_pair & (np.diff(cells, prepend=-1) == 0))
        kept &= ~_ruled_out_before(pair, cells, log.grades[at] >= least_ruled_out(repeats, log.num_grades))
        at = at[kept]
        at = at[np.lexsort((at, log.users[at], log.cells[at]))]
        key = log.cells[at].astype(np.int64) * len(log.user_ids) + log.users[at]
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        first = at[starts]
        return cls(
            offsets=np.append(starts, len(at)).astype(np.int64),
            users=log.users[first],
            cells=log.cells[first],
            times=log.times[first],
            request=log.request[first],
            ends=log.known_at(log.users[first], log.cells[first]),
            stops=log.known_at(log.users[first], log.cells[first] + 1),
            rows=log.rows[at],
        )

    def latest(self, limit: int) -> Examples:
        """The latest groups with about `limit` examples in total."""
        start = int(np.searchsorted(self.offsets, len(self) - limit)) if limit < len(self) else 0
        return Examples(
            offsets=self.offsets[start:] - self.offsets[start],
            users=self.users[start:],
            cells=self.cells[start:],
            times=self.times[start:],
            request=self.request[start:],
            ends=self.ends[start:],
            stops=self.stops[start:],
            rows=self.rows[self.offsets[start] :],
        )

    def chunks(self, least: int) -> Iterator[slice]:
        """Slices of groups that cover whole cells and hold at least `least` examples (the last may hold fewer)."""
        ends = np.append(np.flatnonzero(np.diff(self.cells)) + 1, self.num_groups)
        start = 0
        for end in ends.tolist():
            if start < end and (self.offsets[end] - self.offsets[start] >= least or end == self.num_groups):
                yield slice(start, end)
                start = end


def _ruled_out_before(pair: IndexArray, cells: IntArray, reached: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Whether an earlier event of the pair ruled it out, in an earlier cell; events are sorted by pair and cell."""
    never = np.iinfo(np.int32).max
    starts = np.flatnonzero(np.diff(pair, prepend=-1) != 0)
    first = np.minimum.reduceat(np.where(reached, cells, never), starts) if len(starts) else np.zeros(0, np.int32)
    lengths = np.diff(np.append(starts, len(pair)))
    before: npt.NDArray[np.bool_] = np.repeat(first, lengths) < cells
    return before
