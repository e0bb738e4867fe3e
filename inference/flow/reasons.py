"""The reason sentence of every item in a slate, written by the source that ranked the item best.

If that source has no true reason for an item, the fallback source writes it. This module contains no sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import IntArray
from inference.candidates.batch import Batch
from inference.candidates.query import CandidateSet
from inference.flow.executor import Executor
from inference.sources.protocol import Source


class ReasonWriter:
    """Collects the reasons of selected items. It is too slow for all candidates, because it works on strings.

    Args:
        sources: Source name -> source.
        fallback: Writes the reason if a source has none.
        executor: Decides what a failing source means; the item then gets the fallback's reason.
    """

    def __init__(self, sources: Mapping[str, Source], fallback: Source, executor: Executor) -> None:
        self._sources = dict(sources)
        self._fallback = fallback
        self._executor = executor

    def write(self, batch: Batch, top: CandidateSet, names: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
        """Returns the reasons [n] of the selected items.

        Args:
            batch: The q queries.
            top: Selected items [n].
            names: Name of the source that ranked each item best [n].
        """
        reasons = np.full(len(top), "", dtype=object)
        for place in range(len(batch)):
            span = slice(int(top.offsets[place]), int(top.offsets[place + 1]))
            reasons[span] = self._of_query(batch, place, top.rows[span], names[span].tolist())
        return reasons

    def _of_query(self, batch: Batch, place: int, rows: IntArray, names: list[str]) -> list[str | None]:
        places: dict[str, list[int]] = {}
        for at, name in enumerate(names):
            places.setdefault(name, []).append(at)
        reasons: list[str | None] = [None] * len(rows)
        for name, mine in places.items():
            source = self._sources.get(name, self._fallback)
            for at, reason in zip(mine, self._ask(source, batch, place, rows[mine]), strict=True):
                reasons[at] = reason
        missing = [at for at, reason in enumerate(reasons) if reason is None]
        if missing:
            for at, reason in zip(missing, self._ask(self._fallback, batch, place, rows[missing]), strict=True):
                reasons[at] = reason
        return reasons

    def _ask(self, source: Source, batch: Batch, place: int, rows: IntArray) -> Sequence[str | None]:
        nothing: Sequence[str | None] = [None] * len(rows)
        work = partial(source.reasons, batch, place, rows)
        return self._executor.attempt(batch.trace, source.name, work, nothing)
