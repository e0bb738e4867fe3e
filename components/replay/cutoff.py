"""A cutoff: the parts that retrieval needs as of a given time, as files and as the `Artifacts` of a recommender.

    towers/           as `components/retrieval` wrote them, item embeddings as of the cutoff's time
    index/            item index
    neighbours.npz    item-to-item neighbours; followers.npz and predictors.npz are tables of the same form, and so is
                      content_neighbours.npz where its source is asked
    popularity.npz    popular lists
    stage.json        name, time, half-lives, recall of the index, settings of the tables, trial of every source

Training has three cutoffs: `rank` builds the ranker's rows, `test` is evaluated, `final` is released. The description
is called `stage.json` because cutoffs were called stages when the layout of the folder was fixed. The layout is a
contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from feature_repo.features.directory import FeaturesDirectory
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import ItemColumns
from feature_repo.storage.files import read_json
from inference.bundles.parts import load_parts
from inference.models.artifacts import Artifacts
from inference.models.cold_places import ColdPlaces
from inference.models.config import RecommenderConfig
from inference.models.contents import Contents
from inference.models.fusion import Fusion
from inference.scorers.ranker import read_description
from inference.sources import configured

TOWERS, INDEX = "towers", "index"
CUTOFF_FILE = "stage.json"


@dataclass(frozen=True)
class Cutoff:
    """The folder of a cutoff.

    Attributes:
        directory: Directory with the files.
        features_dir: The features directory of the same run.
        ranker_dir: Folder of the ranker, with the learned fusion and the places of new items; None for neither.
    """

    directory: Path
    features_dir: Path
    ranker_dir: Path | None = None

    @property
    def towers_dir(self) -> Path | None:
        """Directory of the towers; None if no towers were fitted."""
        path = self.directory / TOWERS
        return path if path.is_dir() else None

    @cached_property
    def description(self) -> dict[str, Any]:
        """Content of stage.json."""
        content: dict[str, Any] = read_json(self.directory / CUTOFF_FILE)
        return content

    @cached_property
    def feature_set(self) -> FeatureSet:
        """The run's feature set."""
        return FeaturesDirectory(self.features_dir).feature_set()

    def artifacts(self, items: ItemColumns, *, num_threads: int = 2) -> Artifacts:
        """The artifacts of a recommender, with the catalogue as of a given time.

        Args:
            items: The catalogue; its item ids are the row map.
            num_threads: Threads of the user tower.
        """
        contents = pq.read_table(FeaturesDirectory(self.features_dir).items_static_file)
        return Artifacts(
            version="",
            feature_set=self.feature_set,
            items=items,
            contents=Contents.from_table(contents, items.item_ids),
            parts=load_parts(self.directory, self.feature_set.sources, num_threads),
            config=self.config(),
        )

    def config(self) -> RecommenderConfig:
        """The recommender's configuration, with the choices that training made on the validation span."""
        ranker = self.ranker_dir
        default = configured(
            own_half_life_days=self.description["own_half_life_days"],
            fusion=None if ranker is None else Fusion.load(ranker),
            most_ranked=None if ranker is None else read_description(ranker).most_ranked,
            cold_places=None if ranker is None else ColdPlaces.load(ranker),
        )
        return default.model_copy(update={"quotas": default.quotas | self.description.get("quotas", {})})
