"""The stages of a recommender, built outside it: an experiment arm, an ablation or a cascade uses other `Stages`.

`Stages.of` makes the default stages. Each kind of stage is a folder with a protocol. A new stage is one file and one
entry in the folder's list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from feature_repo.errors import BundleError
from inference.filters import FILTERS
from inference.filters.protocol import Filter
from inference.hydrators.protocol import Hydrator, UserReader
from inference.hydrators.users import UserHydrator
from inference.models.artifacts import Artifacts
from inference.recorders.protocol import Recorder
from inference.scorers.protocol import Scorer
from inference.selectors import SELECTORS
from inference.selectors.protocol import Selector
from inference.sources import FALLBACK, sources_of
from inference.sources.protocol import FallbackSource, Source


class _Named(Protocol):
    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class Stages:
    """The stages that a recommender runs, in this order.

    Attributes:
        hydrators: Add data to the batch that later stages read.
        sources: Find candidates.
        filters: Remove candidates.
        scorers: Score candidates; an empty sequence keeps the retrieval order.
        selectors: Choose and order the items of a slate.
        recorders: Store the slates.
        fallback: The source that fills slates with too few items.
    """

    hydrators: Sequence[Hydrator]
    sources: Sequence[Source]
    filters: Sequence[Filter]
    scorers: Sequence[Scorer]
    selectors: Sequence[Selector]
    recorders: Sequence[Recorder]
    fallback: FallbackSource

    @classmethod
    def of(
        cls,
        artifacts: Artifacts,
        users: UserReader,
        scorer: Scorer | Sequence[Scorer] | None = None,
        *,
        recorders: Sequence[Recorder] = (),
    ) -> Self:
        """Makes the default stages of a release.

        Args:
            artifacts: The release; its feature set names the sources, its configuration sets their quotas.
            users: Reads the state of users.
            scorer: One scorer, or several that run in order; None keeps the retrieval order.
            recorders: Store the slates; offline there are no recorders.

        Raises:
            BundleError: The release names a source that this code does not have.
        """
        if scorer is None:
            scorers: Sequence[Scorer] = ()
        else:
            scorers = scorer if isinstance(scorer, Sequence) else (scorer,)
        return cls(
            hydrators=(UserHydrator(users),),
            sources=tuple(source(artifacts) for source in sources_of(artifacts.feature_set.sources)),
            filters=tuple(rule(artifacts) for rule in FILTERS),
            scorers=scorers,
            selectors=tuple(selector(artifacts) for selector in SELECTORS),
            recorders=recorders,
            fallback=FALLBACK(artifacts),
        )

    def check(self, artifacts: Artifacts) -> None:
        """Rejects stages that would silently not run.

        Raises:
            BundleError: Two stages of one kind share a name, or a source is not in the feature set or has no quota.
        """
        kinds: dict[str, Sequence[_Named]] = {
            "hydrator": self.hydrators,
            "source": self.sources,
            "filter": self.filters,
            "scorer": self.scorers,
            "selector": self.selectors,
            "recorder": self.recorders,
        }
        for kind, stages in kinds.items():
            names = [stage.name for stage in stages]
            for name in names:
                if names.count(name) > 1:
                    raise BundleError(f"Two stages are the {kind} {name!r}: give each a different name.")
        for source in self.sources:
            if source.name not in artifacts.feature_set.sources:
                raise BundleError(
                    f"The source {source.name!r} is not in the feature set of bundle {artifacts.version!r}: "
                    "train again."
                )
            if source.name not in artifacts.config.quotas:
                raise BundleError(
                    f"The source {source.name!r} has no quota in recommender.json of bundle {artifacts.version!r}: "
                    "train again, or set one (0 leaves the source out)."
                )
