"""The artifacts of a cutoff as they would have been at earlier or later cuts.

The towers, the index and the half-lives of the cutoff stay. A `RenewalPolicy` says what is fitted again as of a cut.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from components.index.popular import fit_popularity
from components.index.settings import TableSettings
from components.replay.cutoff import Cutoff
from components.replay.events import Events
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import ItemColumns, TimeArray
from inference.feature_store.historical import HistoricalFeatures
from inference.models.artifacts import Artifacts
from inference.models.part import Part
from inference.sources import sources_of

MOST_REFITS = 8  # of the tables of neighbours over all cuts
DECLARED = ("log_price", "price_to_category", "rating", "log_num_ratings")  # and the owner's own columns


@dataclass(frozen=True, slots=True)
class RenewalPolicy:
    """What is renewed as of a cut, in addition to the catalogue and the popular lists, which always are.

    Attributes:
        neighbours: Fits the tables of neighbours again, at most `MOST_REFITS` times over all cuts. Served tables are a
            day old and hold the earlier sessions of the user: rows scored with tables of weeks ago would teach the
            ranker to distrust them, and tables that know the future would make the past look easy.
        declared: Takes the declared columns of items (price, stock) from the following cut, because servers see such
            changes at once. The counted columns stay those of the cut itself.
    """

    neighbours: bool = False
    declared: bool = False


class Renewal:
    """Renews artifacts as of cuts.

    Args:
        tables: Clean prepared tables.
        cutoff: Supplies the half-life of popularity and the settings of the tables.
        reader: Reads the catalogue, whose item ids are the row map of the artifacts.
        cuts: All cuts that are asked for, ascending unix seconds, at least one.
        policy: What is renewed.
    """

    def __init__(
        self,
        tables: PreparedTables,
        cutoff: Cutoff,
        reader: HistoricalFeatures,
        cuts: TimeArray,
        policy: RenewalPolicy,
    ) -> None:
        split, self._reader, self._policy = tables.split, reader, policy
        self._events = Events.read(tables, reader.items(float(cuts[0])).item_ids)
        self._half_life = float(cutoff.description["half_life_days"])
        self._refits = cuts[:: -(-len(cuts) // MOST_REFITS)]
        self._tables = TableSettings.model_validate(cutoff.description.get("tables", {}))
        self._fitted: tuple[float, list[Part]] | None = None
        self._following = dict(zip(cuts.tolist(), [*cuts[1:].tolist(), split.stamp(split.log_end)], strict=True))

    def __call__(self, artifacts: Artifacts, cut: float) -> Artifacts:
        """The artifacts, whose catalogue is that of the cut, with the rest renewed as the policy says."""
        num_items = len(artifacts.items)
        refitted = [kind.fit_from(self._events, num_items, cut) for kind in artifacts.parts]
        popularity = fit_popularity(self._events, num_items, cut, self._half_life)
        renewed = artifacts.with_parts(*[part for part in refitted if part is not None], popularity)
        if self._policy.neighbours:
            renewed = renewed.with_parts(*self._refitted(cut, artifacts))
        if self._policy.declared:
            declared = self._reader.items(self._following[cut])
            renewed = replace(renewed, items=as_declared(artifacts.items, declared, artifacts.feature_set))
        return renewed

    def _refitted(self, cut: float, artifacts: Artifacts) -> list[Part]:
        """The tables of the sources that are asked, as of the last refit before a cut."""
        refit = float(self._refits[max(int(np.searchsorted(self._refits, cut, side="right")) - 1, 0)])
        if self._fitted is None or self._fitted[0] != refit:
            quotas = artifacts.config.quotas
            asked = [source for source in sources_of(artifacts.feature_set.sources) if quotas.get(source.name, 0) > 0]
            kinds = dict.fromkeys(part for source in asked for part in source.parts)
            self._fitted = refit, self._tables.fit(kinds, self._events, len(artifacts.items), refit)
        return self._fitted[1]


def as_declared(counted: ItemColumns, declared: ItemColumns, feature_set: FeatureSet) -> ItemColumns:
    """The catalogue with the counted columns of one time and the declared columns of another."""
    kept = [name not in DECLARED and name not in feature_set.item_extras for name in feature_set.item_numeric]
    numeric = np.where(np.array(kept, dtype=np.bool_), counted.numeric, declared.numeric)
    return replace(declared, numeric=numeric)
