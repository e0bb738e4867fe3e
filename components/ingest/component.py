"""The ingest step of a pipeline: a thin wrapper, so that cluster and local runs call the same function."""

from kfp.dsl import Dataset, Output

from components.step import step


@step()
def ingest_dataset(dataset: str, fingerprint: str, code_version: str, tables: Output[Dataset], log: str = "") -> None:
    """Reads a dataset directory, and the log that the servers wrote, into prepared tables.

    Args:
        dataset: Directory or URL with dataset.toml and its tables.
        fingerprint: Result of `dataset_fingerprint` for dataset and log; a cache key. The step fails if the dataset
            has changed since. The log may have grown: the tables record the fingerprint of the parts that were read.
        code_version: A cache key.
        tables: Directory for the prepared tables.
        log: The dataset's log, a directory or URL; "" for no log.
    """
    from components.ingest import ingest
    from feature_repo.errors import exit_with_sentence

    with exit_with_sentence():
        description = ingest(dataset, tables.path, log=log, expected=fingerprint)
    tables.metadata.update(
        {
            "name": description["name"],
            "fingerprint": description["fingerprint"],
            "code_version": code_version,
            **{f"num_{table}": rows for table, rows in description["num"].items()},
        }
    )
