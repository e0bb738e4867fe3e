"""The features step of a pipeline: a thin wrapper, so that a cluster and a local run call the same function."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Output


@dsl.component(base_image="kuberec/pipeline:0.1.0", install_kfp_package=False)
def build_feature_snapshots(tables: Input[Dataset], code_version: str, features: Output[Dataset]) -> None:
    """Builds the feature set and the daily snapshots of clean prepared tables that a ranker can be trained on.

    Args:
        tables: Prepared tables that the row rules have cleaned.
        code_version: A cache key.
        features: The features, a directory (`feature_repo.features_directory`).
    """
    from pathlib import Path

    from components.features import build_features
    from components.ranking.spans import require_positives
    from feature_repo.errors import exit_with_sentence
    from feature_repo.tables import PreparedTables

    with exit_with_sentence():
        require_positives(PreparedTables.open(tables.path))
        feature_set = build_features(Path(tables.path), Path(features.path))
    features.metadata.update(
        {
            "feature_hash": feature_set.hash,
            "code_version": code_version,
            "num_features": len(feature_set.ranker_features),
        }
    )
