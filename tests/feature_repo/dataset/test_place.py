"""The place of a dataset as a person names it, and as other processes find it."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_repo.dataset.place import absolute, dataset_place, load_config, local_copy
from feature_repo.errors import DatasetError


def test_a_url_is_kept_and_a_path_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute(dataset_place("s3://bucket/shop/")) == "s3://bucket/shop"
    assert absolute(dataset_place("shop/")) == str(tmp_path / "shop")
    assert dataset_place("shop") == Path("shop")


def test_a_directory_is_read_in_place(tmp_path: Path) -> None:
    with local_copy(tmp_path) as directory:
        assert directory == tmp_path
    with pytest.raises(DatasetError, match=r"dataset\.toml is missing"):
        load_config(tmp_path)
