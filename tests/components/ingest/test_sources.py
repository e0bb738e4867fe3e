"""Files of a dataset: which are found and read as one table, which are refused, and what their fingerprint covers."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.parquet import encryption

from components.ingest import dataset_fingerprint, ingest
from tests.components.ingest.conftest import CONFIG, DatasetFactory, interactions
from tests.components.ingest.refusals import refusal, replaced
from tests.components.ingest.tables import column, prepared, with_column


def test_empty_interactions(dataset: DatasetFactory) -> None:
    assert "interactions.parquet is empty" in refusal(dataset(interactions=interactions().slice(0, 0)))


def test_missing_interactions(dataset: DatasetFactory) -> None:
    directory = dataset()
    (directory / "interactions.parquet").unlink()
    assert "interactions.parquet is missing" in refusal(directory)


def test_truncated_parquet(dataset: DatasetFactory) -> None:
    directory = dataset(items=pa.table({"item_id": ["i1"]}))
    file = directory / "items.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    assert "items.parquet is not a complete Parquet file" in refusal(directory)


def test_parquet_damaged_inside(dataset: DatasetFactory) -> None:
    directory = dataset()
    file = directory / "interactions.parquet"
    content = bytearray(file.read_bytes())
    content[4:600] = bytes(596)
    file.write_bytes(content)
    assert "interactions.parquet cannot be read" in refusal(directory)


@pytest.mark.parametrize("column", ["user_id", "unread"])
def test_text_that_is_not_utf8_names_the_column(dataset: DatasetFactory, column: str) -> None:
    wrong = pa.StringArray.from_buffers(2, *pa.array([b"u1", b"\xff"], pa.binary()).buffers()[1:])
    message = refusal(dataset(interactions=replaced(column, wrong)))
    assert f"interactions.parquet cannot be read: column '{column}' holds text that is not UTF-8: export" in message


@pytest.mark.parametrize("content", [b"", b"user_id,item_id\n1,2\n"])
def test_a_file_that_is_no_parquet(dataset: DatasetFactory, content: bytes) -> None:
    directory = dataset()
    (directory / "users.parquet").write_bytes(content)
    assert "users.parquet is not a complete Parquet file" in refusal(directory)


def test_a_table_that_is_there_twice(dataset: DatasetFactory) -> None:
    directory = dataset()
    (directory / "interactions").mkdir()
    assert "holds both interactions.parquet and interactions/" in refusal(directory)


def test_columns_that_differ_in_case_only(dataset: DatasetFactory) -> None:
    assert "'user_id' and 'User_ID'" in refusal(dataset(interactions=replaced("User_ID", pa.array(["x"]))))


@pytest.mark.parametrize("name", ["b.pq", "part-00000", "c.PARQUET"])
def test_parquet_files_of_another_name_are_not_left_out_unsaid(dataset: DatasetFactory, name: str) -> None:
    directory = dataset()
    folder = directory / "interactions"
    folder.mkdir()
    (directory / "interactions.parquet").rename(folder / "a.parquet")
    (folder / "README.md").write_text("what the columns mean")
    ingest(directory, directory / "prepared")
    pq.write_table(interactions(5), folder / name)
    assert f"{folder / name} is a Parquet file without the suffix .parquet" in refusal(directory)


def test_directories_of_files_and_hive_folders_are_one_table(dataset: DatasetFactory) -> None:
    directory = dataset()
    (directory / "interactions.parquet").unlink()
    whole = interactions(30)
    for place, (kind, rows) in enumerate((("view", whole.slice(0, 10)), ("purchase", whole.slice(10)))):
        folder = directory / "interactions" / f"event_type={kind}" / f"date=2024-03-0{place + 1}"
        folder.mkdir(parents=True)
        pq.write_table(rows.drop_columns(["event_type"]), folder / "part-0.parquet")
    mixed = directory / "interactions" / "event_type=view" / "date=2024-03-09"
    mixed.mkdir()
    pq.write_table(
        with_column(whole.slice(0, 2).drop_columns(["event_type"]), "user_id", pa.array([7, 8])), mixed / "p.parquet"
    )
    (directory / "interactions" / "_temporary").mkdir()
    (directory / "interactions" / "_temporary" / "half.parquet").write_bytes(b"PAR1")
    tables = prepared(directory)
    assert sorted(tables.interactions["row"].to_pylist()) == list(range(32))
    assert column(tables, "interactions", "event_type") == ["purchase"] * 20 + ["view"] * 12
    assert column(tables, "interactions", "user_id")[-2:] == ["7", "8"]


def test_hive_folders_are_those_inside_the_table(dataset: DatasetFactory) -> None:
    """A folder above the table may have the same key, and a key may hold what a pattern would read otherwise."""
    config = CONFIG + '[columns.interactions]\nevent_type = "a.type(1)"\ndevice = "on"\n'
    directory = dataset(config, interactions=interactions(4).drop_columns(["event_type"]))
    above = directory.parent / "a.type(1)=search" / "on=nothing"
    above.parent.mkdir()
    directory = directory.rename(above)
    for number, device in enumerate(("a%20b", "__HIVE_DEFAULT_PARTITION__")):
        folder = directory / "interactions" / "a.type(1)=view" / f"on={device}"
        folder.mkdir(parents=True)
        pq.write_table(pq.read_table(directory / "interactions.parquet"), folder / f"{number}.parquet")
    (directory / "interactions.parquet").unlink()
    tables = prepared(directory)
    assert column(tables, "interactions", "event_type") == ["view"] * 8
    assert column(tables, "interactions", "device") == [None] * 4 + ["a b"] * 4


def test_names_of_files_with_pattern_characters_are_read_literally(dataset: DatasetFactory) -> None:
    directory = dataset()
    odd = directory.rename(directory.parent / "it's [1]*?")
    assert prepared(odd).num_rows["interactions"] == 60


def test_the_fingerprint_follows_content_and_nothing_else(dataset: DatasetFactory) -> None:
    directory = dataset()
    before = dataset_fingerprint(directory)
    (directory / "notes.txt").write_text("not part of it")
    assert dataset_fingerprint(directory.rename(directory.parent / "moved")) == before
    assert dataset_fingerprint(dataset(interactions=interactions(59))) != before
    assert dataset_fingerprint(dataset(CONFIG + "[quality]\nminimum_rate = 0.5\n")) != before


class _Keys(encryption.KmsClient):
    """Keys that are not wrapped, for a file that nobody has to read."""

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> str:
        return key_bytes.hex()

    def unwrap_key(self, wrapped_key: str, master_key_identifier: str) -> bytes:
        return bytes.fromhex(wrapped_key)


@pytest.mark.parametrize("plaintext_footer", [False, True])
def test_an_encrypted_file_is_refused_in_words(dataset: DatasetFactory, plaintext_footer: bool) -> None:
    directory = dataset()
    rows = pa.table({"item_id": ["i1"]})
    settings = encryption.EncryptionConfiguration(
        footer_key="k", column_keys={"k": ["item_id"]}, plaintext_footer=plaintext_footer
    )
    factory = encryption.CryptoFactory(lambda _: _Keys())
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), settings)
    with pq.ParquetWriter(directory / "items.parquet", rows.schema, encryption_properties=properties) as writer:
        writer.write_table(rows)
    message = refusal(directory)
    assert "items.parquet" in message
    assert "is encrypted" in message
