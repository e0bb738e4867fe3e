"""A dataset in a bucket is read like the same files in a directory, and every sentence names the bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.ingest import dataset_fingerprint, ingest
from components.ingest.ingestion import ingest as ingest_directory
from feature_repo.dataset.place import load_config
from feature_repo.errors import DatasetError, StorageError
from feature_repo.storage.files import list_files
from feature_repo.storage.remote_folder import RemoteFolder
from tests.components.ingest.conftest import DatasetFactory, interactions

NEXT_TO_IT = ("orders/part.parquet", "notes.txt")  # files of other owners


@pytest.fixture
def url(bucket: str) -> str:
    """A folder of an S3 server."""
    return f"s3://{bucket}/datasets/shop"


def upload(directory: Path, url: str) -> None:
    RemoteFolder(url).upload(directory, list_files(directory), "")


def test_it_gives_the_tables_of_the_same_directory(dataset: DatasetFactory, url: str, tmp_path: Path) -> None:
    directory = dataset()
    whole = directory / "interactions.parquet"
    day = directory / "interactions" / "date=2026-01-01"
    day.mkdir(parents=True)
    whole.rename(day / "part.parquet")
    upload(directory, url)
    for name in NEXT_TO_IT:
        RemoteFolder(url).write(name, b"not ours")
    assert load_config(url) == load_config(directory)
    assert ingest(url, tmp_path / "remote", 1.8e9) == ingest_directory(directory, tmp_path / "local", 1.8e9)
    names = [path.name for path in (tmp_path / "local").iterdir()]
    for name in names:
        assert (tmp_path / "remote" / name).read_bytes() == (tmp_path / "local" / name).read_bytes(), name


def test_the_fingerprint_covers_content_of_the_same_size(dataset: DatasetFactory, url: str) -> None:
    upload(dataset(), url)
    folder, before = RemoteFolder(url), dataset_fingerprint(url)
    content = folder.read("dataset.toml")
    assert content is not None
    folder.write("notes.txt", b"not ours")
    assert dataset_fingerprint(url) == before
    folder.write("dataset.toml", content.replace(b"click", b"clack"))
    assert dataset_fingerprint(url) != before


def test_a_change_under_the_run_is_refused(dataset: DatasetFactory, url: str, tmp_path: Path) -> None:
    upload(dataset(), url)
    expected = dataset_fingerprint(url)
    ingest(url, tmp_path / "tables", expected=expected)
    upload(dataset(interactions=interactions(59)), url)
    with pytest.raises(DatasetError, match=f"^{url} has changed since the run began; start the run again.$"):
        ingest(url, tmp_path / "tables", expected=expected)


def test_sentences_name_the_bucket(dataset: DatasetFactory, url: str, bucket: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"^{url}/dataset.toml is missing"):
        load_config(url)
    with pytest.raises(StorageError, match="the bucket does not exist"):
        load_config("s3://kuberec-nowhere/shop")
    directory = dataset()
    (directory / "interactions.parquet").write_bytes(b"PAR1 and no more")
    upload(directory, url)
    with pytest.raises(DatasetError, match=f"^{url}/interactions.parquet is not a complete Parquet file"):
        ingest(url, tmp_path / "tables")
    RemoteFolder(url).write("dataset.toml", b"name = 1 2")
    with pytest.raises(DatasetError, match=f"^{url}/dataset.toml cannot be read as TOML"):
        load_config(url)
