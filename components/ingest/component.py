"""The ingest step of a pipeline: a thin wrapper, so that a cluster and a local run call the same function."""

from kfp import dsl
from kfp.dsl import Dataset, Output


@dsl.component(base_image="kuberec/pipeline:0.1.0", install_kfp_package=False)
def ingest_dataset(dataset: str, fingerprint: str, code_version: str, tables: Output[Dataset]) -> None:
    """Reads a dataset directory into prepared tables.

    Args:
        dataset: Directory with dataset.toml and its tables.
        fingerprint: What `dataset_fingerprint` gave for it; a cache key, and refused where it no longer holds.
        code_version: A cache key.
        tables: The prepared tables, a directory.
    """
    from components.ingest import ingest
    from feature_repo.errors import DatasetError, exit_with_sentence

    with exit_with_sentence():
        description = ingest(dataset, tables.path)
        if description["fingerprint"] != fingerprint:
            raise DatasetError(f"{dataset} has changed since the run began; run it again.")
    tables.metadata.update(
        {
            "name": description["name"],
            "fingerprint": fingerprint,
            "code_version": code_version,
            **{f"num_{table}": rows for table, rows in description["num"].items()},
        }
    )
