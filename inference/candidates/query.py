"""The values that flow through the recommender: queries in, candidates between, slates out.

All are frozen. A batch is ragged: candidates of query i are `offsets[i]:offsets[i + 1]` of every column. Stages
return new sets (`keep`, `with_scores`) and never change one in place. Ids appear in `Query` and `Slate` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import FloatArray, IntArray, OffsetArray
from inference.candidates.ragged import offsets_from_owners


@dataclass(frozen=True, slots=True)
class Query:
    """One request for a slate.

    Attributes:
        user_id: Id as the dataset writes it; need not be known.
        time: Unix seconds, set once at the edge; every age and window follows it.
        surface: home, similar or email (or another the log knows).
        count: Items wanted.
        request_id: Id of this request, echoed and logged.
        item_id: Seed of the surface `similar`, else None.
        country, device, last_item_id: Context as the client sent it, None where it did not.
        exclude: Items not to show again (earlier pages, from the cursor).
    """

    user_id: str
    time: float
    surface: str = "home"
    count: int = 20
    request_id: str = ""
    item_id: str | None = None
    country: str | None = None
    device: str | None = None
    last_item_id: str | None = None
    session_length: int | None = None
    exclude: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CandidateSet:
    """Candidates of q queries as columns.

    Attributes:
        offsets: [q + 1].
        rows: Item rows [n], distinct within a query.
        source_bits: Bit s set where source s brought the candidate [n], uint32.
        source_scores: [n, num_sources], NaN where the source did not bring it.
        source_ranks: [n, num_sources], 0 is the source's best, NaN where it did not bring it.
        score: The order so far, higher is better [n].
        probabilities: Objective -> calibrated probability [n], once ranked.
        features: Ranker features [n, F] in the feature set's order, once hydrated.
    """

    offsets: OffsetArray
    rows: IntArray
    source_bits: npt.NDArray[np.uint32]
    source_scores: FloatArray
    source_ranks: FloatArray
    score: FloatArray
    probabilities: Mapping[str, FloatArray] = field(default_factory=dict)
    features: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def num_queries(self) -> int:
        return len(self.offsets) - 1

    @property
    def query_index(self) -> npt.NDArray[np.int64]:
        """Which query each candidate belongs to [n]."""
        return np.repeat(np.arange(self.num_queries), np.diff(self.offsets))

    def keep(self, mask: npt.NDArray[np.bool_]) -> CandidateSet:
        """The candidates where `mask` [n] is true, in the same order."""
        kept = np.zeros(len(mask) + 1, dtype=np.int64)
        np.cumsum(mask, out=kept[1:])
        return CandidateSet(
            offsets=kept[self.offsets],
            rows=self.rows[mask],
            source_bits=self.source_bits[mask],
            source_scores=self.source_scores[mask],
            source_ranks=self.source_ranks[mask],
            score=self.score[mask],
            probabilities={name: column[mask] for name, column in self.probabilities.items()},
            features=None if self.features is None else self.features[mask],
        )

    def best(self, counts: int | IntArray, *, with_features: bool = False) -> CandidateSet:
        """The best `counts` of each query (one number, or [q]), best first, ties by row.

        Features are left behind unless asked for: of whole lists of many queries they fill the memory.
        """
        owners = self.query_index
        order = np.lexsort((self.rows, -self.score, owners))
        place = np.arange(len(order)) - self.offsets[owners]
        order = order[place < np.broadcast_to(counts, self.num_queries)[owners]]
        return CandidateSet(
            offsets=offsets_from_owners(owners[order], self.num_queries),
            rows=self.rows[order],
            source_bits=self.source_bits[order],
            source_scores=self.source_scores[order],
            source_ranks=self.source_ranks[order],
            score=self.score[order],
            probabilities={name: column[order] for name, column in self.probabilities.items()},
            features=self.features[order] if with_features and self.features is not None else None,
        )

    def with_features(self, features: FloatArray) -> CandidateSet:
        """The same candidates with ranker features [n, F]."""
        return replace(self, features=features)

    def with_scores(self, score: FloatArray, probabilities: Mapping[str, FloatArray] | None = None) -> CandidateSet:
        """The same candidates under another order; non-finite scores sink below every finite one."""
        finite = np.isfinite(score)
        if not finite.all():
            score = np.where(finite, score, -np.inf).astype(np.float32)
        return replace(self, score=score, probabilities=dict(probabilities or {}))


@dataclass(frozen=True, slots=True)
class Slate:
    """What one query is answered with; every column has one entry an item, best first.

    Attributes:
        query: The query answered.
        rows: Item rows [count].
        scores: Final scores [count].
        sources: Name of the source that ranked the item best [count].
        reasons: A reason in words [count].
        degraded: What failed open on the way, empty when all is well.
        stage_seconds: Wall seconds of each stage.
        bundle_version: The bundle that answered.
        features: Ranker features [count, F] as they were ranked; None where the ranker had no part in the order.
        probabilities: Objective -> calibrated probability [count]; empty where not ranked.
    """

    query: Query
    rows: IntArray
    scores: FloatArray
    sources: tuple[str, ...]
    reasons: tuple[str, ...]
    degraded: tuple[str, ...] = ()
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    bundle_version: str = ""
    features: FloatArray | None = None
    probabilities: Mapping[str, FloatArray] = field(default_factory=dict)
