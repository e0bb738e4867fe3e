"""What a training chooses for the tables and sources of its cutoffs, on the validation span.

The span and the events before it are the same for every cutoff of a training, so the first one chooses and the later
ones read its choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from components.index.own import choose_own_half_life
from components.index.popular import choose_half_life, fit_popularity
from components.index.quotas import SourceTrial, choose_quotas, try_sources
from components.index.settings import TableSettings, choose_settings
from components.index.trial import Trial
from components.replay.cutoff import CUTOFF_FILE
from components.replay.events import Events
from feature_repo.dataset.tables import PreparedTables
from feature_repo.errors import BundleError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.storage.files import read_json
from inference.models.neighbours import ContentNeighbours
from inference.sources import parts_of


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices of a training.

    Attributes:
        half_life: Half-life of popularity, days.
        own_half_life: Half-life of own items, days.
        tables: Settings of the tables of neighbours.
        quotas: Number of items of each source per query, for the sources that were tried.
        tried: What each source found.
    """

    half_life: float
    own_half_life: float
    tables: TableSettings
    quotas: Mapping[str, int]
    tried: Mapping[str, SourceTrial]

    @classmethod
    def of(
        cls,
        tables: PreparedTables,
        events: Events,
        feature_set: FeatureSet,
        item_ids: npt.NDArray[np.object_],
        content: ContentNeighbours | None = None,
    ) -> Self:
        """Chooses on the validation span.

        Args:
            tables: Clean prepared tables; they supply the span and the life of the items.
            events: All positive events of the tables.
            feature_set: Names the sources.
            item_ids: The row map [m].
            content: Neighbours by content; None if the log has none.
        """
        split, num_items = tables.split, len(item_ids)
        start, end = split.validation_start, split.test_start
        item_life = tables.time_scales.item_life if split.parts > 1 else None
        half_life = choose_half_life(events, num_items, start, end, item_life)
        before = fit_popularity(events, num_items, start, half_life)
        own_half_life = choose_own_half_life(events, num_items, start, end, before.score)
        trial = Trial.of(events, feature_set, item_ids, split)
        settings = choose_settings(trial, events)
        fitted = settings.fit(parts_of(feature_set.sources), events, num_items, trial.as_of)
        tried = try_sources(trial, [before, *fitted, *([content] if content else [])])
        return cls(half_life, own_half_life, settings, choose_quotas(trial, tried), tried)

    @classmethod
    def read(cls, cutoff_dir: Path) -> Self:
        """The choices of an earlier cutoff of the training.

        Raises:
            BundleError: The file of the cutoff is missing or damaged.
        """
        try:
            described = read_json(cutoff_dir / CUTOFF_FILE)
            return cls(
                half_life=float(described["half_life_days"]),
                own_half_life=float(described["own_half_life_days"]),
                tables=TableSettings.model_validate(described["tables"]),
                quotas=described["quotas"],
                tried={name: SourceTrial(**found) for name, found in described["sources"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"The cutoff in {cutoff_dir} cannot be read, build it again: {error}.") from error

    def described(self) -> dict[str, Any]:
        """The content of `CUTOFF_FILE` that `read` reads."""
        return {
            "half_life_days": self.half_life,
            "own_half_life_days": self.own_half_life,
            "tables": self.tables.model_dump(),
            "quotas": dict(self.quotas),
            "sources": {source: asdict(found) for source, found in self.tried.items()},
        }

    def sentence(self) -> str:
        """What every source finds in the validation span, and which sources are off."""
        found = [f"{source} finds {tried.recall:.1%}, alone {tried.margin:.1%}" for source, tried in self.tried.items()]
        off = ", ".join(source for source, quota in self.quotas.items() if not quota)
        return f"of the items chosen in validation {'; '.join(found)}; off: {off or 'none'}"
