"""The ingest step of a pipeline: a thin wrapper, so that a cluster and a local run call the same function."""

from kfp.dsl import Dataset, Output

from components.step import step


@step()
def ingest_dataset(dataset: str, fingerprint: str, code_version: str, tables: Output[Dataset], log: str = "") -> None:
    """Reads a dataset directory, and what servers logged, into prepared tables.

    Args:
        dataset: Directory with dataset.toml and its tables.
        fingerprint: What `dataset_fingerprint` gave for both; a cache key, and refused where the dataset has changed
            since. A log may have grown: the tables say what was read.
        code_version: A cache key.
        tables: The prepared tables, a directory.
        log: The dataset's log, a directory or URL, "" for none.
    """
    from components.ingest import ingest
    from feature_repo.errors import DatasetError, exit_with_sentence

    with exit_with_sentence():
        description = ingest(dataset, tables.path, log=log)
        if description["fingerprint"].partition("+")[0] != fingerprint.partition("+")[0]:
            raise DatasetError(f"{dataset} has changed since the run began; run it again.")
    tables.metadata.update(
        {
            "name": description["name"],
            "fingerprint": description["fingerprint"],
            "code_version": code_version,
            **{f"num_{table}": rows for table, rows in description["num"].items()},
        }
    )
