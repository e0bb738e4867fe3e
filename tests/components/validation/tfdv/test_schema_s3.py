"""The schemas kept in a bucket: TFDV in its own environment infers them there, and an edit there is honoured."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.validation.environment import compute_statistics
from components.validation.tfdv.schema import kept_schemas, schema_version
from feature_repo.errors import QualityError, StorageError
from feature_repo.storage.files import read_json
from feature_repo.storage.remote_folder import RemoteFolder
from tests.kit.prepared_tables import config, event, write_prepared


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [event(number, price=2.0 + number % 5) for number in range(600)]
    return write_prepared(tmp_path_factory.mktemp("tables"), config(), interactions=rows)


def test_a_schema_in_a_bucket_is_inferred_once_and_edits_are_honoured(
    tables: Path, tfdv_python: str, bucket: str, tmp_path: Path
) -> None:
    store = f"s3://{bucket}/stores/shop"
    folder = RemoteFolder(f"{store}/schema")

    def run(name: str) -> list[str]:
        compute_statistics(str(tables), str(tmp_path / name), store, str(tmp_path / f"{name}.html"), tfdv_python)
        found = read_json(tmp_path / name / "statistics.json")
        assert found["schema_dir"] == f"{store}/schema"
        return [one["column"] for one in found["anomalies"] if one["severity"] == "error"]

    nothing = schema_version(store)
    assert run("first") == []
    assert folder.names() == ["interactions.pbtxt"]
    inferred = schema_version(store)
    assert inferred != nothing
    text = (folder.read("interactions.pbtxt") or b"").decode()
    edited = text.replace('name: "price"', 'name: "price"\n  float_domain { min: 0 max: 5.5 }  # no dearer here')
    folder.write("interactions.pbtxt", edited.encode())
    assert schema_version(store) != inferred
    assert run("edited") == ["price"]
    assert folder.read("interactions.pbtxt") == edited.encode()


def test_a_kept_schema_that_is_refused_is_named_by_its_place_in_the_bucket(bucket: str) -> None:
    store = f"s3://{bucket}/shop"
    place = f"^{store}/schema/items.pbtxt is not a valid"
    with pytest.raises(QualityError, match=place), kept_schemas(store) as local:
        raise QualityError(f"{local / 'items.pbtxt'} is not a valid schema")


def test_a_schema_that_cannot_be_listed_is_not_inferred_again(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StorageError, match="access is refused"), kept_schemas(f"s3://{bucket}/shop"):
        pytest.fail("a block without the kept schemas would infer them anew")


def test_only_what_changed_is_written_back(bucket: str) -> None:
    store = f"s3://{bucket}/shop"
    folder = RemoteFolder(f"{store}/schema")
    folder.write("items.pbtxt", b"items")
    folder.write("users.pbtxt", b"users")
    with kept_schemas(store) as local:
        assert sorted(path.name for path in local.iterdir()) == ["items.pbtxt", "users.pbtxt"]
        (local / "items.pbtxt").write_text("items, and more")
        folder.write("users.pbtxt", b"edited meanwhile")
    assert folder.read("items.pbtxt") == b"items, and more"
    assert folder.read("users.pbtxt") == b"edited meanwhile"
