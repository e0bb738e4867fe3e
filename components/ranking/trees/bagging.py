"""Trees of several seeds that are summed into one model, which varies less than the trees of one seed.

Each seed draws other features for each tree and has its own number of trees. The sum is one LightGBM model, so serving
needs no change.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.ranking.judging import JudgedQueries
from components.ranking.rows import RankingRows
from components.ranking.trees.boosting import BoostedTrees, RankerConfig, boost, regrow
from components.ranking.trees.stopping import HalfArray
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import FloatArray

_TREE = re.compile(r"^Tree=\d+\n", re.MULTILINE)
_END = "end of trees\n"


@dataclass(frozen=True, slots=True)
class TreeBag:
    """The trees of every seed, at least one."""

    members: tuple[BoostedTrees, ...]

    @classmethod
    def grow(
        cls,
        train: RankingRows,
        judged: JudgedQueries,
        halves: HalfArray | None,
        feature_set: FeatureSet,
        config: RankerConfig,
    ) -> TreeBag:
        """Grows trees from `config.num_seeds` seeds; see `boost`."""
        seeds = range(config.seed, config.seed + config.num_seeds)
        configs = [config.model_copy(update={"seed": seed}) for seed in seeds]
        return cls(tuple(boost(train, judged, halves, feature_set, each) for each in configs))

    def regrown(self, rows: RankingRows, feature_set: FeatureSet) -> TreeBag:
        """As many trees of each seed on other learnable rows; see `regrow`."""
        return TreeBag(tuple(regrow(member, rows, feature_set) for member in self.members))

    @property
    def num_trees(self) -> int:
        """Number of trees of all seeds."""
        return sum(member.stops.trees for member in self.members)

    def scores(self, features: FloatArray) -> npt.NDArray[np.float64]:
        """Summed scores [n] of rows [n, F]."""
        total: npt.NDArray[np.float64] = np.sum([member.scores(features) for member in self.members], axis=0)
        return total

    def crosswise(self, judged: JudgedQueries, halves: HalfArray | None) -> npt.NDArray[np.float64]:
        """Summed score of each judged row [n] by trees that were stopped on the other half of the users."""
        total: npt.NDArray[np.float64] = np.sum([member.crosswise(judged, halves) for member in self.members], axis=0)
        return total

    def gains(self) -> npt.NDArray[np.float64]:
        """Gain of each feature over all trees [F]."""
        total: npt.NDArray[np.float64] = np.sum([member.gains() for member in self.members], axis=0)
        return total

    def text(self) -> str:
        """The trees of all seeds as one model in LightGBM's text form."""
        return merged([member.text() for member in self.members])


def merged(texts: Sequence[str]) -> str:
    """One model whose score is the sum of the scores of models of the same features.

    Args:
        texts: Models in LightGBM's text form: a header with the length of every tree in bytes, the trees, and the
            parameters. The parameters of the first model stay.
    """
    if len(texts) == 1:
        return texts[0]
    trees: list[str] = []
    for text in texts:
        _, *bodies = _TREE.split(text[: text.index(_END)])
        trees += bodies
    numbered = [f"Tree={number}\n{body}" for number, body in enumerate(trees)]
    sizes = " ".join(str(len(tree.encode())) for tree in numbered)
    first = _TREE.search(texts[0])
    header = texts[0][: first.start()] if first else texts[0][: texts[0].index(_END)]
    header = re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", header, flags=re.MULTILINE)
    return header + "".join(numbered) + texts[0][texts[0].index(_END) :]
