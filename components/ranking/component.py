"""The ranking step of a pipeline: a thin wrapper around `train_ranker`."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="kuberec/pipeline:0.1.0", install_kfp_package=False)
def train_ranker_op(
    tables: Input[Dataset],
    features: Input[Dataset],
    stage: Input[Model],
    max_rows: int,
    recipe: str,
    seed: int,
    code_version: str,
    ranker: Output[Model],
    metrics: Output[Metrics],
) -> None:
    """Trains the ranker on rows that the recommender of stage `rank` builds.

    Args:
        tables: Clean prepared tables.
        features: Their features.
        stage: Stage `rank`.
        max_rows: Bound on all rows.
        recipe: fast or best.
        seed: Of sampling and trees.
        code_version: A cache key.
        ranker: The ranker, a directory.
        metrics: Rows, groups, trees, validation NDCG@20.
    """
    from pathlib import Path

    from components.ranking.fit import RankerConfig
    from components.ranking.train import train_ranker
    from feature_repo.errors import exit_with_sentence
    from feature_repo.storage.files import write_json

    with exit_with_sentence():
        numbers = train_ranker(
            Path(tables.path),
            Path(features.path),
            Path(stage.path),
            Path(ranker.path),
            config=RankerConfig.of(recipe, seed),
            max_rows=max_rows,
            seed=seed,
        )
    for name, value in numbers.items():
        metrics.log_metric(name, value)
    # A step is kept for the next run only where each of its artifacts is a file.
    write_json(metrics.path, metrics.metadata)
    ranker.metadata.update({"code_version": code_version})
