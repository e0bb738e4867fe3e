"""The release steps of a pipeline: release a bundle that passed the gate, or end the run with the gate's sentence."""

from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output

from components.step import step


@step()
def reference_op(
    tables: Input[Dataset],
    features: Input[Dataset],
    stage: Input[Model],
    ranker: Input[Model],
    days: int,
    seed: int,
    code_version: str,
    reference: Output[Dataset],
    metrics: Output[Metrics],
) -> None:
    """Replays the recommender over the log's last days: the reference for drift.

    Args:
        tables: Clean prepared tables.
        features: Features of the tables.
        stage: Folder of the cutoff `final`.
        ranker: Folder of the ranker.
        days: Number of days to replay.
        seed: Seed of the sampling of queries.
        code_version: A cache key.
        reference: The folder `reference/` of the bundle.
        metrics: Numbers of requests and rows.
    """
    from pathlib import Path

    from components.release.reference import make_reference
    from components.step_metrics import log_metrics
    from feature_repo.errors import exit_with_sentence

    with exit_with_sentence():
        numbers = make_reference(
            Path(tables.path),
            Path(features.path),
            Path(stage.path),
            Path(ranker.path),
            Path(reference.path),
            days=days,
            seed=seed,
        )
    log_metrics(metrics, numbers)
    reference.metadata.update({"days": days, "code_version": code_version})


@step()
def release_op(
    tables: Input[Dataset],
    features: Input[Dataset],
    stage: Input[Model],
    ranker: Input[Model],
    reference: Input[Dataset],
    evaluation: Input[Artifact],
    store: str,
    redis: str,
    refitted: bool,
    cause: str,
    reference_days: int,
    code_version: str,
    metrics: Output[Metrics],
    read_at: float = 0.0,
) -> str:
    """Fills the online store, publishes the bundle and makes it current.

    Args:
        tables: Clean prepared tables.
        features: Features of the tables.
        stage: Folder of the cutoff `final`.
        ranker: Folder of the ranker.
        reference: The drift reference.
        evaluation: The evaluation and the gate's decision.
        store: The dataset's store, a directory or URL.
        redis: Address of a Redis without its password; "" for SQLite in the store, which must then be a directory.
        refitted: Whether the towers were fitted again up to the log's end.
        cause: Why the bundle was trained; "" if drift did not start the training.
        reference_days: Number of days that the reference replays.
        code_version: Version of the code that made the bundle.
        metrics: Size of the released version.
        read_at: When the dataset was read, unix seconds, so that of overlapping runs the newest data counts; 0 for the
            time of the step.

    Returns:
        The version that is now served.
    """
    import tempfile
    from pathlib import Path

    from components.release.release import TrainedParts, release, release_facts
    from components.step_metrics import log_metrics
    from feature_repo.errors import exit_with_sentence
    from feature_repo.redis_settings import redis_of_step
    from inference.bundles.store import BundleStore
    from inference.feature_store import online_settings

    with exit_with_sentence(), tempfile.TemporaryDirectory(prefix="kuberec-registry-") as scratch:
        facts = release_facts(
            Path(tables.path),
            Path(evaluation.path),
            code_version=code_version,
            refitted=refitted,
            cause=cause,
            reference_days=reference_days,
            read_at=read_at,
        )
        made = TrainedParts(
            Path(tables.path), Path(features.path), Path(stage.path), Path(ranker.path), Path(reference.path), facts
        )
        online = online_settings(store, facts, redis_of_step(redis), Path(scratch))
        version = release(made, BundleStore(store), online)
    log_metrics(metrics, {"weights_until": facts.weights_until, "features_as_of": facts.features_as_of})
    return version


@step()
def refuse_op(evaluation: Input[Artifact]) -> None:
    """Ends the run with the gate's sentence; nothing is released.

    Args:
        evaluation: The evaluation and the gate's decision.
    """
    from pathlib import Path

    from components.release.release import refuse
    from feature_repo.errors import exit_with_sentence

    with exit_with_sentence():
        refuse(Path(evaluation.path))
