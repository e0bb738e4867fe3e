"""The features steps of a pipeline: thin wrappers, so that the cluster and a local run call the same functions."""

from kfp.dsl import Dataset, Input, Metrics, Output

from components.step import step


@step()
def build_feature_snapshots(tables: Input[Dataset], code_version: str, features: Output[Dataset]) -> None:
    """Builds the feature set and the daily snapshots that the training of a ranker needs.

    Args:
        tables: Clean prepared tables.
        code_version: A cache key.
        features: The features directory (`feature_repo.features.directory`).
    """
    from pathlib import Path

    from components.features import build_features
    from components.validation.spans import require_positives
    from feature_repo.dataset.tables import PreparedTables
    from feature_repo.errors import exit_with_sentence

    with exit_with_sentence():
        require_positives(PreparedTables.open(tables.path))
        feature_set = build_features(Path(tables.path), Path(features.path))
    features.metadata.update(
        {
            "feature_hash": feature_set.hash,
            "code_version": code_version,
            "num_features": len(feature_set.ranker_features),
        }
    )


@step()
def refresh_features_op(
    tables: Input[Dataset],
    store: str,
    redis: str,
    code_version: str,
    metrics: Output[Metrics],
    report_dir: str = "",
    read_at: float = 0.0,
) -> None:
    """Writes the current state of users and items, and the popular lists, to the online store of the served bundle.

    Args:
        tables: Clean prepared tables of the dataset and the served log.
        store: The dataset's store, a directory or URL.
        redis: Address of a Redis without its password; "" for SQLite in the store, which must then be a directory.
        code_version: Version of the code that computes the features.
        metrics: Numbers of users and items, and the time of the snapshot.
        report_dir: Receives refresh.json with the same numbers; "" for no report.
        read_at: When the dataset was read, unix seconds, so that of overlapping runs the newest data counts; 0 for the
            time of the step.
    """
    import tempfile
    from pathlib import Path

    from components.features.refresh import refresh_features
    from components.step_metrics import log_metrics
    from feature_repo.errors import exit_with_sentence
    from feature_repo.redis_settings import redis_of_step
    from feature_repo.storage.files import write_json
    from inference.bundles.store import BundleStore
    from inference.feature_store import online_settings

    with exit_with_sentence(), tempfile.TemporaryDirectory(prefix="kuberec-registry-") as scratch:
        address = redis_of_step(redis)
        done = refresh_features(
            Path(tables.path),
            BundleStore(store),
            lambda facts: online_settings(store, facts, address, Path(scratch)),
            read_at=read_at or None,
        )
        if report_dir:
            write_json(Path(report_dir) / "refresh.json", done.model_dump(mode="json"))
    metrics.metadata["code_version"] = code_version
    log_metrics(metrics, {"num_users": done.num_users, "num_items": done.num_items, "as_of": done.as_of})
