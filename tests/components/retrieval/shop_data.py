"""Training data of the shop up to a start of its split."""

from __future__ import annotations

from pathlib import Path

from components.retrieval.config import TrainingConfig
from components.retrieval.model import TrainingData
from components.retrieval.towers import training_data
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.directory import FeaturesDirectory


def data_until(dirs: tuple[Path, Path], start: str, config: TrainingConfig) -> TrainingData:
    """Examples and log before `Split.<start>`; `dirs` are the tables and the features."""
    tables, features = PreparedTables.open(dirs[0]), FeaturesDirectory(dirs[1])
    until: float = getattr(tables.split, start)
    return training_data(tables, features.feature_set(), features.item_ids(), until, until, config)
