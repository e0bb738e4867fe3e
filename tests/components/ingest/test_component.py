"""The pipeline step calls ingest, records what it made, and refuses a dataset that changed under the run."""

from pathlib import Path

import pytest
from kfp.dsl import Dataset

from components.ingest import dataset_fingerprint
from components.ingest.component import ingest_dataset
from feature_repo.dataset.tables import PreparedTables
from feature_repo.errors import DatasetError
from tests.components.ingest.conftest import DatasetFactory, interactions


def test_the_step_writes_tables_and_their_numbers(dataset: DatasetFactory, tmp_path: Path) -> None:
    directory = dataset()
    tables = Dataset(name="tables", uri=str(tmp_path / "run" / "tables"), metadata={})
    fingerprint = dataset_fingerprint(directory)
    ingest_dataset.python_func(str(directory), fingerprint, "v1", tables)
    assert PreparedTables.open(tables.path).num_rows["interactions"] == tables.metadata["num_interactions"] == 60
    assert tables.metadata["fingerprint"] == fingerprint


def test_a_dataset_that_changed_is_refused(
    dataset: DatasetFactory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fingerprint = dataset_fingerprint(dataset())
    directory = dataset(interactions=interactions(59))
    tables = Dataset(name="tables", uri=str(tmp_path / "tables"), metadata={})
    with pytest.raises(SystemExit) as caught:
        ingest_dataset.python_func(str(directory), fingerprint, "v1", tables)
    assert caught.value.code == DatasetError.exit_code
    assert "has changed since the run began" in capsys.readouterr().err
