"""The values that flow through the recommender: queries go in, candidates pass through the stages, slates come out.

All are frozen. A batch is ragged: the candidates of query i are `offsets[i]:offsets[i + 1]` of every column. Stages
return new candidate sets (`keep`, `with_scores`) and never change a set in place. Ids appear in `Query` and `Slate`
only.
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
        user_id: Id as in the dataset; unknown users are allowed.
        time: Unix seconds, set once at the edge; every age and window follows it.
        surface: home, similar or email, or another surface that the log contains.
        count: Number of items requested.
        request_id: Id of this request, echoed and logged.
        item_id: Seed of the surface `similar`, else None.
        country, device, last_item_id: Context from the client, None if it was not sent.
        exclude: Ids of items that must not be shown, such as those of earlier pages.
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
        offsets: Query i has the candidates `offsets[i]:offsets[i + 1]` [q + 1].
        rows: Item rows [n], distinct within a query.
        source_bits: Bit s is set if source s found the candidate [n], uint32.
        source_scores: Score by each source [n, num_sources], NaN if the source has none.
        source_ranks: Rank by each source [n, num_sources], 0 is the best, NaN if the source has none.
        score: Current score [n]; higher is better.
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
        """Index of each candidate's query [n]."""
        return np.repeat(np.arange(self.num_queries), np.diff(self.offsets))

    def keep(self, mask: npt.NDArray[np.bool_]) -> CandidateSet:
        """Returns the candidates where `mask` [n] is true, in the same order."""
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
        """Returns the best `counts` candidates of each query (one number, or [q]), best first, ties by row.

        Features are dropped by default, because the features of many long lists would fill the memory.
        """
        owners = self.query_index
        order = np.lexsort((self.rows, -self.score, owners))
        place = np.arange(len(order)) - self.offsets[owners]
        source = self if with_features else replace(self, features=None)
        return source.take(order[place < np.broadcast_to(counts, self.num_queries)[owners]])

    def take(self, order: npt.NDArray[np.integer]) -> CandidateSet:
        """Returns the candidates at the given places in this order, which goes query by query."""
        return CandidateSet(
            offsets=offsets_from_owners(self.query_index[order], self.num_queries),
            rows=self.rows[order],
            source_bits=self.source_bits[order],
            source_scores=self.source_scores[order],
            source_ranks=self.source_ranks[order],
            score=self.score[order],
            probabilities={name: column[order] for name, column in self.probabilities.items()},
            features=None if self.features is None else self.features[order],
        )

    def with_features(self, features: FloatArray) -> CandidateSet:
        """Returns the same candidates with ranker features [n, F]."""
        return replace(self, features=features)

    def with_scores(self, score: FloatArray, probabilities: Mapping[str, FloatArray] | None = None) -> CandidateSet:
        """Returns the same candidates with new scores; non-finite scores become minus infinity, below all others."""
        finite = np.isfinite(score)
        if not finite.all():
            score = np.where(finite, score, -np.inf).astype(np.float32)
        return replace(self, score=score, probabilities=dict(probabilities or {}))


@dataclass(frozen=True, slots=True)
class Slate:
    """The answer to one query; every column has one entry per item, best first.

    Attributes:
        query: The query answered.
        rows: Item rows [count].
        scores: Final scores [count].
        sources: Name of the source that ranked each item best [count].
        reasons: The reason sentence of each item [count].
        degraded: Parts that failed open, in order; empty if nothing failed.
        stage_seconds: Wall seconds of each stage.
        bundle_version: The bundle that answered.
        features: Ranker features at ranking time [count, F]; None if the slate was not ranked.
        probabilities: Objective -> calibrated probability [count]; empty if the slate was not ranked.
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
