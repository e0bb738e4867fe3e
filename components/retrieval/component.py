"""The retrieval steps of a pipeline: thin wrappers around `fit_towers`."""

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
) -> None:
    """Fits the two towers on the events before the time of a cutoff.

    Args:
        tables: Clean prepared tables.
        features: Features of the tables.
        stage: Name of the cutoff: rank, test or final.
        recipe: fast or best.
        seed: Seed of weights, order and negatives.
        code_version: A cache key.
        towers: Directory for the towers.
        metrics: Epochs, recall, examples.
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
            seed=seed,
            config=TrainingConfig.of(recipe),
            code_version=code_version,
        )
    log_metrics(metrics, numbers)
    towers.metadata.update({"stage": stage, "until": until, "code_version": code_version})


@step()
def train_towers_further_op(
    tables: Input[Dataset],
    features: Input[Dataset],
    before: Input[Model],
    stage: str,
    recipe: str,
    seed: int,
    code_version: str,
    towers: Output[Model],
    metrics: Output[Metrics],
) -> None:
    """Trains the towers of an earlier cutoff further, on the events before the time of a later one.

    Args:
        tables: Clean prepared tables.
        features: Features of the tables; those of the earlier towers.
        before: The earlier towers.
        stage: Name of the later cutoff: validation, test or final.
        recipe: fast or best.
        seed: Seed of order and negatives.
        code_version: A cache key.
        towers: Directory for the towers.
        metrics: Epochs, examples.
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
            before_dir=Path(before.path),
            seed=seed,
            config=TrainingConfig.of(recipe),
            code_version=code_version,
        )
    log_metrics(metrics, numbers)
    towers.metadata.update({"stage": stage, "until": until, "code_version": code_version})
