"""The ranking step of a pipeline: a thin wrapper around `train_ranker`."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output

from components.step import step


@step()
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
    log: str = "",
) -> None:
    """Trains the ranker on rows that the recommender of the cutoff `rank` builds.

    Args:
        tables: Clean prepared tables.
        features: Features of the tables.
        stage: Folder of the cutoff `rank`.
        max_rows: Maximum number of rows.
        recipe: fast or best.
        seed: Seed of the sampling and of the trees.
        code_version: A cache key.
        ranker: Folder for the ranker.
        metrics: Rows, groups, trees, NDCG@20 of the validation queries, rows with features from the served log.
        log: The served log that `tables` were ingested with, a directory or URL, "" for none. The artifact `tables`
        changes when the log grows, so it is the cache key of the log's content.
    """
    from pathlib import Path

    from components.ranking.train import train_ranker
    from components.ranking.trees.boosting import RankerConfig
    from components.step_metrics import log_metrics
    from feature_repo.errors import exit_with_sentence

    with exit_with_sentence():
        numbers = train_ranker(
            Path(tables.path),
            Path(features.path),
            Path(stage.path),
            Path(ranker.path),
            config=RankerConfig.of(recipe, seed),
            max_rows=max_rows,
            seed=seed,
            log=log,
        )
    log_metrics(metrics, numbers)
    ranker.metadata.update({"code_version": code_version})
