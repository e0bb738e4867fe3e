"""The index steps of a pipeline: thin wrappers around `build_cutoff`."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output

from components.step import step


@step()
def build_stage_op(
    tables: Input[Dataset],
    features: Input[Dataset],
    towers: Input[Model],
    stage: str,
    code_version: str,
    built: Output[Model],
    metrics: Output[Metrics],
) -> None:
    """Chooses the settings of tables and sources, and builds neighbours, popular lists and index of the first cutoff.

    Args:
        tables: Clean prepared tables.
        features: Features of the tables.
        towers: Towers fitted on events no later than the cutoff's time.
        stage: Name of the cutoff: rank.
        code_version: A cache key.
        built: Directory for the cutoff.
        metrics: Items, half-life, recall of the index.
    """
    from pathlib import Path

    from components.index.build import build_cutoff
    from components.step_metrics import log_metrics
    from feature_repo.errors import exit_with_sentence

    with exit_with_sentence():
        numbers = build_cutoff(Path(tables.path), Path(features.path), Path(towers.path), Path(built.path), name=stage)
    log_metrics(metrics, numbers)
    built.metadata.update({"stage": stage, "code_version": code_version})


@step()
def build_later_stage_op(
    tables: Input[Dataset],
    features: Input[Dataset],
    towers: Input[Model],
    earlier: Input[Model],
    stage: str,
    code_version: str,
    built: Output[Model],
    metrics: Output[Metrics],
) -> None:
    """Builds a cutoff with the choices of an earlier one.

    Args:
        tables: Clean prepared tables.
        features: Features of the tables.
        towers: Towers fitted on events no later than the cutoff's time.
        earlier: Folder of the earlier cutoff of the training.
        stage: Name of the cutoff: validation, test or final.
        code_version: A cache key.
        built: Directory for the cutoff.
        metrics: Items, half-life, recall of the index.
    """
    from pathlib import Path

    from components.index.build import build_cutoff
    from components.step_metrics import log_metrics
    from feature_repo.errors import exit_with_sentence

    with exit_with_sentence():
        numbers = build_cutoff(
            Path(tables.path),
            Path(features.path),
            Path(towers.path),
            Path(built.path),
            name=stage,
            earlier_dir=Path(earlier.path),
        )
    log_metrics(metrics, numbers)
    built.metadata.update({"stage": stage, "code_version": code_version})
