"""The retrieval step of a pipeline: a thin wrapper around `fit_towers`."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output

from components.step import step


@step()
def fit_towers_op(
    tables: Input[Dataset],
    features: Input[Dataset],
    stage: str,
    recipe: str,
    seed: int,
    code_version: str,
    towers: Output[Model],
    metrics: Output[Metrics],
    before: Input[Model] = None,  # kfp's form of an optional artifact
) -> None:
    """Fits the two towers on the events before the time of a cutoff.

    Args:
        tables: Clean prepared tables.
        features: Features of the tables.
        stage: Name of the cutoff: rank, validation, test or final.
        recipe: fast or best.
        seed: Seed of weights, order and negatives.
        code_version: A cache key.
        towers: Directory for the towers.
        metrics: Epochs, recall, examples.
        before: Towers of an earlier cutoff and the same features, which are trained further; none fits fresh ones.
    """
    from pathlib import Path

    from components.retrieval.config import TrainingConfig
    from components.retrieval.towers import fit_towers
    from components.step_metrics import log_metrics
    from feature_repo.dataset.tables import PreparedTables
    from feature_repo.errors import exit_with_sentence

    with exit_with_sentence():
        until = PreparedTables.open(tables.path).split.cutoff_time(stage)
        numbers = fit_towers(
            Path(tables.path),
            Path(features.path),
            Path(towers.path),
            until=until,
            before_dir=Path(before.path) if before else None,
            seed=seed,
            config=TrainingConfig.of(recipe),
            code_version=code_version,
        )
    log_metrics(metrics, numbers)
    towers.metadata.update({"stage": stage, "until": until, "code_version": code_version})
