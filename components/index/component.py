"""The index step of a pipeline: a thin wrapper around `build_stage`."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="kuberec/pipeline:0.1.0", install_kfp_package=False)
def build_stage_op(
    tables: Input[Dataset],
    features: Input[Dataset],
    towers: Input[Model],
    stage: str,
    code_version: str,
    built: Output[Model],
    metrics: Output[Metrics],
) -> None:
    """Builds neighbours, popular lists and the item index as of a stage's time.

    Args:
        tables: Clean prepared tables.
        features: Their features.
        towers: Towers fitted before the stage's time at the latest.
        stage: rank, test or final.
        code_version: A cache key.
        built: The stage, a directory.
        metrics: Items, half-life, recall of the index.
    """
    from pathlib import Path

    from components.index.build import build_stage
    from feature_repo.errors import exit_with_sentence
    from feature_repo.storage.files import write_json

    with exit_with_sentence():
        numbers = build_stage(Path(tables.path), Path(features.path), Path(towers.path), Path(built.path), name=stage)
    for name, value in numbers.items():
        metrics.log_metric(name, value)
    # A step is kept for the next run only where each of its artifacts is a file.
    write_json(metrics.path, metrics.metadata)
    built.metadata.update({"stage": stage, "code_version": code_version})
