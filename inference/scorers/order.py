"""The ranker without trees: it orders the candidates by the fusion of the sources, or by a single source.

Training writes this kind where another order is better than the trees. Features, drift and probabilities are those of
every other ranker, so transformer and predictor do not distinguish the kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from feature_repo.errors import BundleError, PredictorError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.cross.history_length import HISTORY_LENGTH_COLUMN
from feature_repo.features.state import FloatArray
from feature_repo.storage.files import write_json
from inference.models.fusion import FloatArray64, Fusion
from inference.scorers.probabilities import Probabilities

ORDER_FILE = "order.json"


class Order(BaseModel):
    """A fusion that reads feature rows.

    Attributes:
        fusion: The weights.
        ranks: Source -> column of its rank in a feature row.
        length: Column of the length of the user's history, None if the features have none.
        num_features: Length of a feature row.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fusion: Fusion
    ranks: dict[str, int]
    length: int | None
    num_features: int

    @classmethod
    def of(cls, fusion: Fusion, feature_set: FeatureSet) -> Self:
        """The order by a fusion over the ranker's features of a feature set."""
        names = feature_set.ranker_features
        return cls(
            fusion=fusion,
            ranks={source: names.index(f"rank_{source}") for source in feature_set.sources},
            length=names.index(HISTORY_LENGTH_COLUMN) if HISTORY_LENGTH_COLUMN in names else None,
            num_features=len(names),
        )

    def scores(self, features: FloatArray) -> FloatArray64:
        """The fused scores [n] of feature rows [n, F]."""
        segments = 0 if self.length is None else self.fusion.segments_of(features[:, self.length])
        return self.fusion.scores(features[:, list(self.ranks.values())], segments, list(self.ranks))

    def save(self, directory: Path) -> None:
        """Writes `order.json` into a ranker's folder."""
        write_json(directory / ORDER_FILE, self.model_dump(mode="json"))


class OrderRanker:
    """Scores feature rows by an order; thread-safe.

    Args:
        order: The order.
        probabilities: Probabilities of the objectives.
    """

    def __init__(self, order: Order, probabilities: Probabilities) -> None:
        self._order = order
        self._probabilities = probabilities
        self.num_features = order.num_features

    @property
    def objectives(self) -> tuple[str, ...]:
        """Objectives with a calibrated probability."""
        return self._probabilities.objectives

    @classmethod
    def load(cls, directory: Path, num_threads: int = 1) -> OrderRanker:
        """Loads `order.json` and the files of the probabilities.

        Raises:
            BundleError: If a file is missing or damaged.
        """
        try:
            order = Order.model_validate_json((directory / ORDER_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BundleError(f"The ranker in {directory} cannot be read: {error}.") from error
        return cls(order, Probabilities.load(directory, order.num_features, num_threads))

    def score(self, features: FloatArray) -> tuple[FloatArray, Mapping[str, FloatArray]]:
        """Returns scores [n] and, by objective, probabilities [n] of feature rows [n, F].

        Raises:
            PredictorError: If the number of features differs from the order's.
        """
        raw = self._raw(features)
        return raw.astype(np.float32), self._probabilities.of(features, raw)

    def order(self, features: FloatArray) -> FloatArray:
        """Returns the scores [n] of `score` without the probabilities."""
        return self._raw(features).astype(np.float32)

    def _raw(self, features: FloatArray) -> FloatArray64:
        if features.ndim != 2 or features.shape[1] != self._order.num_features:
            raise PredictorError(
                f"The ranker takes rows of {self._order.num_features} features and received shape "
                f"{list(features.shape)}."
            )
        return self._order.scores(features)
