"""Ingest and fingerprint of a dataset wherever it is: a directory, or a folder behind a URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.ingest.ingestion import ingest as ingest_directory
from components.ingest.sources import dataset_fingerprint as directory_fingerprint
from components.ingest.sources import log_parts, parts_digest
from feature_repo.dataset.place import Place, local_copy, remote_fingerprint
from feature_repo.errors import DatasetError
from feature_repo.storage.folder import local_path


def dataset_fingerprint(dataset: Place, log: Path | str = "") -> str:
    """Fingerprint of a dataset and its log.

    A directory is identified by its content, see `sources.py`; files behind a URL by the versions that the server
    states, because jobs ask for the fingerprint every hour and must not download the dataset for it.

    Args:
        dataset: Directory or URL.
        log: The log that servers wrote, a directory or URL; "" for none.

    Raises:
        DatasetError: A file cannot be read.
        StorageError: A URL cannot be read.
    """
    if local_path(str(dataset)) is not None:
        return directory_fingerprint(dataset, log)
    return remote_fingerprint(str(dataset)) + parts_digest(log_parts(str(log)))


def ingest(
    dataset: Place, out_dir: Path | str, now: float | None = None, *, log: Path | str = "", expected: str = ""
) -> dict[str, Any]:
    """Reads a dataset and its log into prepared tables, see `ingestion.py`.

    Args:
        dataset: Directory or URL.
        out_dir: Directory for the prepared tables.
        now: The wall clock in unix seconds; None reads the clock.
        log: A log, a directory or URL; "" for no log.
        expected: Fingerprint at the start of the run; "" for any. The log may have grown since.

    Returns:
        The content of `dataset.json`.

    Raises:
        DatasetError: The dataset or the log cannot be used, or the dataset has changed.
        StorageError: A URL cannot be read.
    """
    with local_copy(dataset) as directory:
        description = ingest_directory(directory, out_dir, now, log=log)
    remote = local_path(str(dataset)) is None
    found = remote_fingerprint(str(dataset)) if remote else description["fingerprint"].partition("+")[0]
    if expected and found != expected.partition("+")[0]:
        raise DatasetError(f"{dataset} has changed since the run began; start the run again.")
    return description
