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
    """Trains the ranker on rows that the recommender of cutoff `rank` builds.

    Args:
        tables: Clean prepared tables.
        features: Their features.
        stage: Cutoff `rank`.
        max_rows: Bound on all rows.
        recipe: fast or best.
        seed: Of sampling and trees.
        code_version: A cache key.
        ranker: The ranker, a directory.
        metrics: Rows, groups, trees, validation NDCG@20, rows with features of the served log.
        log: The served log that `tables` were ingested with, a directory or URL, "" for none. `tables` are another
            artifact once the log has grown, so they are the cache key of its content.
    """
    from pathlib import Path

    from components.ranking.fit import RankerConfig
    from components.ranking.train import train_ranker
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
