"""A tutorial: make a source with data of its own, run the recommender, read the slate.

Everything a source is stands in one class. To ship it, put the class into `inference/sources/<name>.py` and add it to
`SOURCES` in `inference/sources/__init__.py`: training then fits its part, the bundle carries it, the ranker gets its
score and rank as features, and the servers ask it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from feature_repo.features.state import IntArray
from inference.candidates.batch import Batch
from inference.candidates.found import Found
from inference.models.artifacts import Artifacts
from inference.models.part import Part, PositiveEvents
from inference.recommender import Recommender
from inference.sources.protocol import Source
from inference.stages import Stages
from tests.kit import world


# 1. The data of the source: the items first taken last, fitted from the log, saved in the bundle as one file.
@dataclass(frozen=True)
class Debuts(Part):
    """When each item was taken for the first time [m], unix seconds, NaN where never."""

    first: np.ndarray

    paths: ClassVar[tuple[str, ...]] = ("debuts.npy",)

    @property
    def num_items(self) -> int:
        return len(self.first)

    @classmethod
    def fit_from(cls, events: PositiveEvents, num_items: int, as_of: float) -> Self:
        first = np.full(num_items, np.nan)
        before = events.times < as_of
        np.fmin.at(first, events.rows[before], events.times[before])
        return cls(first)

    def save(self, folder: Path) -> None:
        np.save(folder / "debuts.npy", self.first)

    @classmethod
    def load(cls, folder: Path, num_threads: int) -> Self:
        return cls(np.load(folder / "debuts.npy", allow_pickle=False))


# 2. The source: its name, its defaults, its part, what it brings, and the reason it gives.
@dataclass(frozen=True)
class DebutSource(Source):
    """Items that somebody took for the first time most recently."""

    artifacts: Artifacts

    name: ClassVar[str] = "debut"
    quota: ClassVar[int] = 30
    weight: ClassVar[float] = 5.0
    parts: ClassVar[tuple[type[Part], ...]] = (Debuts,)

    def __call__(self, batch: Batch, k: int) -> Found:
        first = self.artifacts.part(Debuts).first
        rows = np.argsort(-first, kind="stable")[:k].astype(np.int32)  # NaN last
        return Found.lists([(rows, first[rows].astype(np.float32))] * len(batch))

    def reasons(self, batch: Batch, place: int, rows: IntArray) -> Sequence[str | None]:
        return ["New here"] * len(rows)


# 3. A recommender with the source among the others. Names are bits and columns of the ranker, so the feature set and
#    the configuration know them too; training does both for the sources of `SOURCES`.
def test_a_new_source_brings_items_and_says_why(tmp_path):
    made = world.artifacts()
    events = world.positive_events()
    part = Debuts.fit_from(events, len(made.items), world.NOW)
    part.save(tmp_path)
    features = made.feature_set.model_copy(update={"sources": (*made.feature_set.sources, DebutSource.name)})
    quotas = {**made.config.quotas, DebutSource.name: DebutSource.quota}
    made = replace(
        made.with_parts(Debuts.load(tmp_path, 1)),
        feature_set=features,
        config=made.config.model_copy(update={"quotas": quotas}),
    )
    known = replace(made, feature_set=world.feature_set())  # the four sources of the code
    stages = Stages.of(known, world.Store(made.feature_set))
    stages = replace(stages, sources=(*stages.sources, DebutSource(made)))
    (slate,) = Recommender(made, stages).recommend([world.query("u1")])

    # 4. The slate: rows of items, the source that ranked each best, and its reason.
    new = [row for row, source in zip(slate.rows.tolist(), slate.sources, strict=True) if source == "debut"]
    assert new, "the new source is asked"
    assert set(new) <= set(np.argsort(-part.first, kind="stable")[:30].tolist())
    assert all(
        (source == "debut") == (reason == "New here")
        for source, reason in zip(slate.sources, slate.reasons, strict=True)
    )
