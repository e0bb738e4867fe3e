"""The index step of a pipeline: a thin wrapper around `build_cutoff`."""

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
    earlier: Input[Model] = None,  # kfp's form of an optional artifact
) -> None:
    """Builds neighbours, popular lists and index of a cutoff.

    Args:
        tables: Clean prepared tables.
        features: Features of the tables.
        towers: Towers fitted on events no later than the cutoff's time.
        stage: Name of the cutoff: rank, validation, test or final.
        code_version: A cache key.
        built: Directory for the cutoff.
        metrics: Items, half-life, recall of the index.
        earlier: An earlier cutoff of the training, whose settings of tables and sources are taken; none chooses them.
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
            earlier_dir=Path(earlier.path) if earlier else None,
        )
    log_metrics(metrics, numbers)
    built.metadata.update({"stage": stage, "code_version": code_version})
