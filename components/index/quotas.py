"""Decides which sources pay: what a source finds in the validation span beyond the sources that are always asked.

The two-tower source does not take part. The towers of a test or final cutoff know the validation span, and the same
sources must be asked at every cutoff of a training.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from components.index.trial import Gains, Trial, surely_better
from inference.models.part import Part
from inference.sources import sources_of
from inference.sources.content import ContentSource
from inference.sources.covisitation import CovisitationSource
from inference.sources.fresh import FreshSource
from inference.sources.own import OwnSource
from inference.sources.popular import PopularSource
from inference.sources.protocol import Source
from inference.sources.similar import SimilarSource
from inference.sources.transitions import TransitionsSource

ALWAYS: tuple[type[Source], ...] = (CovisitationSource, OwnSource, PopularSource)
IF_IT_PAYS: tuple[type[Source], ...] = (TransitionsSource, SimilarSource, ContentSource)
LEAST_COLD = 0.01  # share of a user's chosen items without an earlier event from which `fresh` is asked
LEAST_RECALL = 0.002  # at the margin: a source costs about 0.2 ms of every request


@dataclass(frozen=True, slots=True)
class SourceTrial:
    """What a source found in the validation span within its quota.

    Attributes:
        quota: Number of items per query, 0 if the source is not asked.
        recall: Mean share of a user's chosen items that the source found.
        margin: The part of it that no other source that is asked found.
        exclusive_hits: Number of chosen items that no other source that is asked found.
        milliseconds: Time per query in a large batch.
    """

    quota: int
    recall: float
    margin: float
    exclusive_hits: int
    milliseconds: float


def choose_quotas(trial: Trial, tried: Mapping[str, SourceTrial]) -> dict[str, int]:
    """The quotas of the sources that a trial decides; the others keep their defaults.

    `fresh` needs towers, so it is not tried. It is asked where users choose items without an event.

    Args:
        trial: The queries of the validation span.
        tried: What `try_sources` measured.
    """
    quotas = {name: found.quota for name, found in tried.items()}
    cold = _mean(trial.recalls(trial.cold))
    return quotas | {FreshSource.name: FreshSource.quota if cold >= LEAST_COLD else 0}


def try_sources(trial: Trial, parts: Sequence[Part]) -> dict[str, SourceTrial]:
    """Measures every source, and asks those of `IF_IT_PAYS` that pay at the margin, the best first.

    Args:
        trial: The queries of the validation span.
        parts: Parts of all sources, fitted on the events before it.
    """
    hits, seconds = {}, {}
    known = sources_of(trial.artifacts.feature_set.sources)
    sources = [source for source in (*ALWAYS, *IF_IT_PAYS) if source in known]
    for source in sources:
        started = time.perf_counter()
        hits[source] = trial.hits(trial.ask(source, parts, source.quota))
        seconds[source] = time.perf_counter() - started
    asked = [source for source in sources if source in ALWAYS]
    left = [source for source in sources if source in IF_IT_PAYS]
    while left:
        together = np.any([hits[source] for source in asked], axis=0)
        best = max(left, key=lambda source: float(trial.recalls(hits[source] & ~together).sum()))
        gains = trial.recalls(hits[best] & ~together)
        left.remove(best)
        if surely_better(gains) and gains.mean() >= LEAST_RECALL:
            asked.append(best)
    table = {}
    for source in sources:
        others = np.any([hits[other] for other in asked if other is not source], axis=0)
        alone = hits[source] & ~others
        table[source.name] = SourceTrial(
            quota=source.quota if source in asked else 0,
            recall=_mean(trial.recalls(hits[source])),
            margin=_mean(trial.recalls(alone)),
            exclusive_hits=int(alone.sum()),
            milliseconds=1000 * seconds[source] / max(len(trial.batch), 1),
        )
    return table


def _mean(recalls: Gains) -> float:
    return float(recalls.mean()) if len(recalls) else 0.0
