"""A dataset that cannot be used is refused in one sentence, and nothing is left half written."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.ingest import ingest
from feature_repo.errors import DatasetError
from tests.components.ingest.conftest import CONFIG, START, DatasetFactory, interactions


def refusal(directory: Path) -> str:
    out = directory.parent / "tables"
    with pytest.raises(DatasetError) as caught:
        ingest(directory, out)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert [entry for entry in directory.parent.iterdir() if entry != directory] == [], "something was left behind"
    return message


def replaced(name: str, values: pa.Array) -> pa.Table:
    table = interactions(len(values))
    place = table.schema.get_field_index(name)
    return table.append_column(name, values) if place < 0 else table.set_column(place, name, values)


def test_missing_column(dataset: DatasetFactory) -> None:
    message = refusal(dataset(interactions=interactions().drop_columns(["event_type"])))
    assert "interactions.parquet has no column 'event_type'" in message


def test_missing_renamed_column_names_the_key(dataset: DatasetFactory) -> None:
    message = refusal(dataset(CONFIG + '[columns.interactions]\nsession_id = "visit"\n'))
    assert "no column 'visit'" in message
    assert "columns.interactions.session_id" in message


def test_missing_extra_column_names_the_key(dataset: DatasetFactory) -> None:
    config = CONFIG + '[features.items]\nnumerical = ["weight"]\n'
    message = refusal(dataset(config, items=pa.table({"item_id": ["i1"]})))
    assert "items.parquet has no column 'weight'" in message
    assert "features.items.numerical" in message


def test_a_column_missing_in_one_file_names_that_file(dataset: DatasetFactory) -> None:
    directory = dataset()
    (directory / "interactions.parquet").rename(directory / "a.parquet")
    (directory / "interactions").mkdir()
    (directory / "a.parquet").rename(directory / "interactions" / "a.parquet")
    pq.write_table(interactions().drop_columns(["user_id"]), directory / "interactions" / "b.parquet")
    assert "b.parquet has no column 'user_id'" in refusal(directory)


def test_text_timestamp(dataset: DatasetFactory) -> None:
    message = refusal(dataset(interactions=replaced("timestamp", pa.array(["2024-01-01T00:00:00Z"]))))
    assert "column 'timestamp' is of type string; it must hold timestamps or dates" in message


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("timestamp", pa.array([1_700_000_000]), "timestamps or dates"),
        ("user_id", pa.array([True]), "text or whole numbers"),
        ("event_type", pa.array([1]), "text"),
        ("price", pa.array(["9.99"]), "numbers"),
        ("quantity", pa.array([[1]]), "numbers"),
    ],
)
def test_wrong_type(dataset: DatasetFactory, column: str, values: pa.Array, expected: str) -> None:
    message = refusal(dataset(interactions=replaced(column, values)))
    assert f"interactions.parquet: column '{column}' is of type" in message
    assert f"it must hold {expected}" in message


def test_an_id_with_a_fraction_names_the_row(dataset: DatasetFactory) -> None:
    message = refusal(dataset(interactions=replaced("user_id", pa.array([1.0, None, 2.5, 3.5]))))
    assert "column 'user_id' holds 2.5 in row 2 (counted from 0)" in message


@pytest.mark.parametrize(
    ("column", "values", "shown"),
    [("in_stock", pa.array([1, 0, 2]), "2"), ("in_stock", pa.array([0.0, 1.0, 0.5]), "0.5")],
)
def test_a_flag_that_is_neither_0_nor_1_names_the_row(
    dataset: DatasetFactory, column: str, values: pa.Array, shown: str
) -> None:
    items = pa.table({"item_id": ["a", "b", "c"], column: values})
    assert f"column '{column}' holds {shown} in row 2" in refusal(dataset(items=items))


def test_a_label_that_is_neither_0_nor_1_names_the_row(dataset: DatasetFactory) -> None:
    shown = pa.table(
        {
            "request_id": ["r", "r"],
            "user_id": ["u0", "u0"],
            "item_id": ["i0", "i1"],
            "timestamp": pa.array([START] * 2, pa.timestamp("us", tz="UTC")),
            "click": [0, 3],
        }
    )
    assert "impressions.parquet: column 'click' holds 3 in row 1" in refusal(dataset(impressions=shown))


def test_empty_interactions(dataset: DatasetFactory) -> None:
    assert "interactions.parquet is empty" in refusal(dataset(interactions=interactions().slice(0, 0)))


def test_an_empty_optional_table_is_an_absent_one(dataset: DatasetFactory, tmp_path: Path) -> None:
    directory = dataset(items=pa.table({"item_id": pa.array([], pa.string())}))
    assert ingest(directory, tmp_path / "tables")["num"]["items"] == 0


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


def test_no_usable_row(dataset: DatasetFactory) -> None:
    message = refusal(dataset(interactions=replaced("user_id", pa.nulls(5))))
    assert message.endswith("Interactions hold no usable row among 5: user_id is missing in 5.")


def test_no_usable_row_names_every_fault_worst_first(dataset: DatasetFactory) -> None:
    table = replaced("event_type", pa.array(["zoom"] * 3)).append_column("price", pa.array([-1.0, -1.0, 1.0]))
    message = refusal(dataset(CONFIG + 'allowed = ["share"]\n', interactions=table))
    assert "event_type is not one of purchase, return, share, view" in message
    assert message.endswith(" in 3; price is below zero in 2.")


def test_no_event_fulfils_an_objective(dataset: DatasetFactory) -> None:
    message = refusal(dataset(interactions=replaced("event_type", pa.array(["browse", "browse", "zoom"]))))
    assert "wants view, purchase" in message
    assert "browse, zoom" in message


def test_an_objective_fulfilled_by_unclean_rows_only(dataset: DatasetFactory) -> None:
    table = replaced("event_type", pa.array(["browse", "purchase"])).append_column("price", pa.array([1.0, -1.0]))
    assert "No clean row of interactions fulfils an objective" in refusal(dataset(interactions=table))


def test_what_was_there_stays_when_a_dataset_is_refused(dataset: DatasetFactory, tmp_path: Path) -> None:
    out = tmp_path / "tables"
    ingest(dataset(), out)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(DatasetError):
        ingest(dataset(interactions=interactions().drop_columns(["user_id"])), out)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_the_command_line_prints_one_sentence(dataset: DatasetFactory, tmp_path: Path) -> None:
    directory = dataset(CONFIG + "[extra]\nkey = 1\n")
    command = [sys.executable, "-m", "components.ingest", str(directory), str(tmp_path / "tables")]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == DatasetError.exit_code
    assert refused.stderr.startswith("error: ")
    assert "unknown key 'extra'" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "tables").exists()
    dataset()
    accepted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert accepted.returncode == 0, accepted.stderr
    assert '"interactions": 60' in accepted.stdout


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


def test_a_log_far_in_the_future_only_is_refused(dataset: DatasetFactory) -> None:
    times = pa.array([START + timedelta(days=40000 + day) for day in range(9)], pa.timestamp("us", tz="UTC"))
    assert "no usable row" in refusal(dataset(interactions=replaced("timestamp", times)))
