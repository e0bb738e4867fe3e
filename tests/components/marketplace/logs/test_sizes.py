"""The logs without impressions keep the dataset contract and depend on the seed alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.ingest.ingestion import ingest
from components.marketplace.dataset.truth import config_of
from components.marketplace.logs.sizes import make_log
from components.validation.rows.checks import check_rows
from feature_repo.dataset.config import DatasetConfig
from feature_repo.dataset.contract import CONTRACT_COLUMNS
from feature_repo.errors import SettingsError
from feature_repo.storage.files import list_files, read_json, sha256

TINY = ("dense-tiny", "news-tiny")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    for size in TINY:
        assert make_log(size, 0, folder / size)
    return folder


@pytest.mark.parametrize("size", TINY)
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(logs: Path, tmp_path: Path, size: str) -> None:
    make_log(size, 0, tmp_path / "again")
    make_log(size, 1, tmp_path / "other")
    for name in list_files(logs / size):
        original = sha256(logs / size / name)
        assert original == sha256(tmp_path / "again" / name)
        assert original != sha256(tmp_path / "other" / name)


@pytest.mark.parametrize("size", TINY)
def test_the_tables_keep_the_contract(logs: Path, size: str) -> None:
    config = DatasetConfig.load(logs / size)
    assert config.name == f"simulated-{size}"
    assert config.recommend.repeats == "never"
    for table in ("interactions", "items", "users"):
        extra = {*config.extras(table).categorical, *config.extras(table).numerical}
        assert set(pq.read_schema(logs / size / f"{table}.parquet").names) <= set(CONTRACT_COLUMNS[table]) | extra


@pytest.mark.parametrize("size", TINY)
def test_ingest_and_the_row_checks_find_nothing_bad(logs: Path, tmp_path: Path, size: str) -> None:
    description = ingest(logs / size, tmp_path / "tables")
    assert description["warnings"] == []
    assert description["num"]["items"] == read_json(logs / size / "truth" / "truth.json")["num_rows"]["items"]
    report = check_rows(tmp_path / "tables", tmp_path / "clean", tmp_path / "quarantine", tmp_path / "report.html")
    assert [table.bad for table in report.tables.values()] == [0] * len(report.tables)


@pytest.mark.parametrize("size", TINY)
def test_no_user_takes_an_item_twice(logs: Path, size: str) -> None:
    log = pq.read_table(logs / size / "interactions.parquet").to_pydict()
    assert len(set(zip(log["user_id"], log["item_id"], strict=True))) == len(log["user_id"]) > 3_000


@pytest.mark.parametrize("size", TINY)
def test_an_item_is_taken_only_after_it_appeared(logs: Path, size: str) -> None:
    log = pq.read_table(logs / size / "interactions.parquet").to_pydict()
    items = pq.read_table(logs / size / "items.parquet").to_pydict()
    created = dict(zip(items["item_id"], items["created_at"], strict=True))
    waited = [time - created[item] for item, time in zip(log["item_id"], log["timestamp"], strict=True)]
    assert min(waited).total_seconds() >= 0
    assert np.all(np.diff([time.timestamp() for time in log["timestamp"]]) >= 0)


def test_a_log_is_made_once_and_other_folders_are_left_alone(logs: Path, tmp_path: Path) -> None:
    assert not make_log("dense-tiny", 0, logs / "dense-tiny")
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SettingsError, match="not a simulated dataset"):
        make_log("news-tiny", 0, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_log_without_impressions_is_not_a_marketplace_to_replay(logs: Path) -> None:
    with pytest.raises(SettingsError, match="not a simulated marketplace"):
        config_of(logs / "news-tiny")


def test_a_seed_out_of_bounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="seed = -1"):
        make_log("news-tiny", -1, tmp_path / "log")
    assert list(tmp_path.iterdir()) == []
