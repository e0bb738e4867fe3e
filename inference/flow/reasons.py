"""The reason sentence of every item in a slate, written by the source that ranked the item best.

If that source has no true reason for an item, the fallback source writes it. This module contains no sentences.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import IntArray
from inference.candidates.batch import Batch
from inference.candidates.query import CandidateSet
from inference.sources.protocol import Source


class ReasonWriter:
    """Collects the reasons of selected items. It is too slow for all candidates, because it works on strings.

    Args:
        sources: Source name -> source.
        fallback: Writes the reason if a source has none.
    """

    def __init__(self, sources: Mapping[str, Source], fallback: Source) -> None:
        self._sources = dict(sources)
        self._fallback = fallback

    def write(self, batch: Batch, top: CandidateSet, names: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
        """Returns the reasons [n] of the selected items.

        Args:
            batch: The q queries.
            top: Selected items [n].
            names: Name of the source that ranked each item best [n].
        """
        reasons = np.empty(len(top), dtype=object)
        for place in range(len(batch)):
            span = slice(int(top.offsets[place]), int(top.offsets[place + 1]))
            reasons[span] = self._of_query(batch, place, top.rows[span], names[span])
        return reasons

    def _of_query(
        self, batch: Batch, place: int, rows: IntArray, names: npt.NDArray[np.object_]
    ) -> npt.NDArray[np.object_]:
        reasons = np.full(len(rows), None, dtype=object)
        for name in dict.fromkeys(names.tolist()):
            source = self._sources.get(name, self._fallback)
            mine = names == name
            reasons[mine] = np.array(source.reasons(batch, place, rows[mine]), dtype=object)
        missing = np.array([reason is None for reason in reasons], dtype=np.bool_)
        if missing.any():
            reasons[missing] = np.array(self._fallback.reasons(batch, place, rows[missing]), dtype=object)
        return reasons
