"""The release steps of a pipeline: release what passed the gate, or end the run with the gate's sentence."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="kuberec/pipeline:0.1.0", install_kfp_package=False)
def release_op(
    tables: Input[Dataset],
    features: Input[Dataset],
    stage: Input[Model],
    ranker: Input[Model],
    evaluation: Input[Artifact],
    store: str,
    redis: str,
    refitted: bool,
    cause: str,
    code_version: str,
    metrics: Output[Metrics],
) -> str:
    """Fills the online store, publishes the bundle and makes it current.

    Args:
        tables: Clean prepared tables.
        features: Their features.
        stage: Stage `final`.
        ranker: The ranker.
        evaluation: What was measured, and the gate's decision.
        store: The dataset's store, a directory or URL.
        redis: Address of a Redis online store, "" for SQLite in the store, which is a directory then.
        refitted: Whether the towers were fitted again up to the log's end.
        cause: Why it was trained, "" where drift did not start it.
        code_version: Of the code that made it.
        metrics: The version's size.

    Returns:
        The version that is served.
    """
    import tempfile
    from pathlib import Path

    from components.release.release import Release, online_settings, release, release_facts
    from feature_repo.errors import exit_with_sentence
    from inference.store import BundleStore

    with exit_with_sentence(), tempfile.TemporaryDirectory(prefix="kuberec-registry-") as scratch:
        facts = release_facts(
            Path(tables.path),
            Path(evaluation.path),
            code_version=code_version,
            refitted=refitted,
            cause=cause,
        )
        made = Release(Path(tables.path), Path(features.path), Path(stage.path), Path(ranker.path), facts)
        online = online_settings(store, facts, redis, Path(scratch))
        version = release(made, BundleStore(store), online)
    metrics.log_metric("weights_until", facts.weights_until)
    metrics.log_metric("features_as_of", facts.features_as_of)
    return version


@dsl.component(base_image="kuberec/pipeline:0.1.0", install_kfp_package=False)
def refuse_op(evaluation: Input[Artifact]) -> None:
    """Ends the run with the gate's sentence; nothing was released.

    Args:
        evaluation: What was measured, and the gate's decision.
    """
    from pathlib import Path

    from components.release.release import refuse
    from feature_repo.errors import exit_with_sentence

    with exit_with_sentence():
        refuse(Path(evaluation.path))
