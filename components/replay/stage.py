"""A stage: what retrieval needs as of one time, as files, and as the `Artifacts` a recommender reads.

    towers/           as `components/retrieval` wrote them, item embeddings as of the stage's time
    index/            item index
    neighbours.npz    item-to-item neighbours
    popularity.npz    popular lists
    stage.json        name, time, half-life, recall of the index

Training has three: `rank` scores the ranker's rows, `test` is measured, `final` is released.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from feature_repo.features.directory import FeaturesDirectory
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import ItemColumns
from feature_repo.storage.files import read_json
from inference.models.artifacts import Artifacts, RecommenderConfig
from inference.models.contents import Contents
from inference.models.encoder import UserEncoder
from inference.models.index import ItemIndex
from inference.models.neighbours import Neighbours
from inference.models.popularity import Popularity

TOWERS, INDEX, NEIGHBOURS, POPULARITY, STAGE = "towers", "index", "neighbours.npz", "popularity.npz", "stage.json"


@dataclass(frozen=True)
class Stage:
    """A stage's folder.

    Attributes:
        directory: Where the files are.
        features_dir: The features directory of the same run.
    """

    directory: Path
    features_dir: Path

    @property
    def towers_dir(self) -> Path | None:
        """The towers, None where none were fitted."""
        path = self.directory / TOWERS
        return path if path.is_dir() else None

    @property
    def index_dir(self) -> Path | None:
        """The item index, None without towers."""
        path = self.directory / INDEX
        return path if path.is_dir() else None

    @cached_property
    def description(self) -> dict[str, Any]:
        """Content of stage.json."""
        content: dict[str, Any] = read_json(self.directory / STAGE)
        return content

    @cached_property
    def feature_set(self) -> FeatureSet:
        """The run's feature set."""
        return FeaturesDirectory(self.features_dir).feature_set()

    @cached_property
    def neighbours(self) -> Neighbours:
        """Item-to-item neighbours."""
        return Neighbours.load(self.directory / NEIGHBOURS)

    @cached_property
    def popularity(self) -> Popularity:
        """Popular lists."""
        return Popularity.load(self.directory / POPULARITY)

    def artifacts(self, items: ItemColumns, *, num_threads: int = 2) -> Artifacts:
        """What a recommender reads, with the catalogue as of a time.

        Args:
            items: The catalogue; its ids are the row map.
            num_threads: Threads of the user tower.
        """
        encoder = index = None
        if self.towers_dir is not None and self.index_dir is not None:
            encoder = UserEncoder.load(self.towers_dir, num_threads)
            index = ItemIndex.load(self.index_dir)
        contents = pq.read_table(FeaturesDirectory(self.features_dir).items_static_file)
        return Artifacts(
            version="",
            feature_set=self.feature_set,
            items=items,
            contents=Contents.from_table(contents, items.item_ids),
            neighbours=self.neighbours,
            popularity=self.popularity,
            encoder=encoder,
            index=index,
            embeddings=None if encoder is None else np.asarray(encoder.item_embeddings),
            config=self.config(),
        )

    def config(self) -> RecommenderConfig:
        """How candidates are gathered, with what was chosen on the validation span."""
        return RecommenderConfig(own_half_life_days=self.description["own_half_life_days"])
