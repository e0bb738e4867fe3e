"""The questions that examples answer: when each is asked, and which part of the history is known then.

Half of the examples ask what comes next: the history ends at the event. The others ask as an evaluation and a feed of
yesterday do, what comes within the horizon: at a random time before the event. The horizon is as long as the span over
which the recommender is measured. If only the next event is measured, all examples ask for it. After the dense
all-action loss of Pancha et al., "PinnerFormer", KDD 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from components.retrieval.log import IndexArray, ragged
from components.retrieval.sequences import HistoryWindows
from feature_repo.features.state import TimeArray

if TYPE_CHECKING:
    from components.retrieval.model import TrainingData


@dataclass(frozen=True, slots=True)
class Questions:
    """n questions of a batch of windows.

    Attributes:
        windows: Window of each question [n].
        positions: Position in the log of the event that answers it [n].
        known: Number of the window's events that are known [n].
        times: Unix seconds of the question [n].
    """

    windows: IndexArray
    positions: IndexArray
    known: IndexArray
    times: TimeArray

    @classmethod
    def of(cls, data: TrainingData, windows: HistoryWindows, share: float, rng: np.random.Generator) -> Questions:
        """One question for each example of the windows.

        Args:
            data: The log and the examples.
            windows: Windows of histories.
            share: Share of the questions that are asked at a random time within the horizon before the event.
            rng: Draws these questions and their times.
        """
        log = data.log
        positions, owner = ragged(windows.firsts, windows.stops - windows.firsts)
        kept = data.examples.weights[positions] > 0
        positions, owner = positions[kept], owner[kept]
        known = positions - windows.starts[owner]
        times = log.times[positions].copy()
        early = np.flatnonzero(rng.random(len(positions)) < share) if data.horizon else np.zeros(0, dtype=np.int64)
        times[early] -= rng.random(len(early)) * data.horizon
        before = log.position_at(log.users[positions[early]], times[early])
        known[early] = np.maximum(before - windows.starts[owner[early]], 0)
        return cls(owner, positions, known, times)

    def take(self, places: IndexArray, windows: IndexArray) -> Questions:
        """The questions at the given places [p], whose windows have new numbers [p]."""
        return Questions(windows, self.positions[places], self.known[places], self.times[places])
