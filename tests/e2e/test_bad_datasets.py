"""A dataset that cannot be used ends the main job with one sentence, and leaves no bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.marketplace.config import config_for
from components.marketplace.dataset.directory import make_dataset
from tests.e2e import main_job

EVENTS = "interactions.parquet"


def _without_column(dataset: Path) -> None:
    pq.write_table(pq.read_table(dataset / EVENTS).drop_columns(["item_id"]), dataset / EVENTS)


def _empty(dataset: Path) -> None:
    pq.write_table(pq.read_table(dataset / EVENTS).slice(0, 0), dataset / EVENTS)


def _text_timestamp(dataset: Path) -> None:
    table = pq.read_table(dataset / EVENTS)
    place = table.schema.get_field_index("timestamp")
    text = pa.array([str(value) for value in table["timestamp"].to_pylist()])
    pq.write_table(table.set_column(place, "timestamp", text), dataset / EVENTS)


def _unknown_key(dataset: Path) -> None:
    with (dataset / "dataset.toml").open("a") as file:
        file.write("\n[extra]\ncolour = 1\n")


def _truncated(dataset: Path) -> None:
    content = (dataset / EVENTS).read_bytes()
    (dataset / EVENTS).write_bytes(content[: len(content) // 2])


def _text_instead_of_items(dataset: Path) -> None:
    (dataset / "items.parquet").write_text("item_id,title\ni1,A chair\n")


def _damaged_inside(dataset: Path) -> None:
    content = bytearray((dataset / EVENTS).read_bytes())
    content[200 : len(content) // 2] = b"\xff" * (len(content) // 2 - 200)
    (dataset / EVENTS).write_bytes(content)


def _not_there(dataset: Path) -> None:
    dataset.rename(dataset.with_name("elsewhere"))


def _no_description(dataset: Path) -> None:
    (dataset / "dataset.toml").unlink()


def _no_positive(dataset: Path) -> None:
    table = pq.read_table(dataset / EVENTS)
    place = table.schema.get_field_index("event_type")
    pq.write_table(table.set_column(place, "event_type", pa.array(["share"] * len(table))), dataset / EVENTS)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (_without_column, ("interactions.parquet", "'item_id'")),
        (_empty, ("interactions",)),
        (_text_timestamp, ("interactions.parquet", "'timestamp'", "timestamps or dates")),
        (_unknown_key, ("dataset.toml", "extra")),
        (_truncated, ("interactions.parquet is not a complete Parquet file",)),
        (_text_instead_of_items, ("items.parquet is not a complete Parquet file",)),
        (_damaged_inside, ("interactions.parquet cannot be read",)),
        (_not_there, ("world is not a directory",)),
        (_no_description, ("dataset.toml is missing",)),
        (_no_positive, ("objective",)),
    ],
)
def test_a_sentence_and_no_bundle(tmp_path: Path, spoil: Callable[[Path], None], named: tuple[str, ...]) -> None:
    make_dataset(config_for("tiny"), tmp_path / "world")
    spoil(tmp_path / "world")
    done = main_job.run(tmp_path / "world", tmp_path / "build")
    sentence = main_job.assert_one_sentence(done)
    for part in named:
        assert part in sentence
    assert main_job.bundles(tmp_path / "build") == []
    assert main_job.left_behind(tmp_path / "build") == []
