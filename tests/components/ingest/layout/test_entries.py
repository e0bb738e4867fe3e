"""Names and files of a dataset directory: which are hidden, notes, links, or similar to a table."""

from pathlib import Path

import pytest

from components.ingest.layout.entries import is_hidden, is_lookalike, is_note, written_link


@pytest.mark.parametrize("name", [".part.parquet", "_SUCCESS", "_old", "..data"])
def test_hidden_names(name: str) -> None:
    assert is_hidden(name)


@pytest.mark.parametrize("name", ["part.parquet", "_year=2024", "day=_x"])
def test_hive_folders_are_data_even_under_an_underscore(name: str) -> None:
    assert not is_hidden(name)


@pytest.mark.parametrize("name", ["README", "readme.txt", "notes.md", "part.parquet.crc", "part.parquet.dvc"])
def test_notes_hold_no_rows(name: str) -> None:
    assert is_note(name, ["part.parquet"])


@pytest.mark.parametrize("name", ["part.csv", "part.json", "notes.txt", "other.parquet.dvc", "part.parquet.gz"])
def test_other_files_may_hold_rows(name: str) -> None:
    assert not is_note(name, ["part.parquet"])


@pytest.mark.parametrize(
    "name",
    [
        *("Items.parquet", "items.csv", "items.parquet.gz", "items.parq", "ITEMS", "item.parquet", "_items.parquet"),
        *(
            "items (1).parquet",
            "items-00000-of-00002.parquet",
            "items_2.parquet",
            "items copy.parquet",
            " items.parquet",
        ),
    ],
)
def test_names_that_are_likely_meant_as_a_table(name: str) -> None:
    assert is_lookalike(name, "items")


@pytest.mark.parametrize(
    "name",
    ["items", "items.parquet", "items_old.parquet", "itemset.parquet", ".items.parquet.1.tmp"],
)
def test_other_names(name: str) -> None:
    assert not is_lookalike(name, "items")


def test_a_link_that_a_copy_turned_into_text(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    contents = {"there": "there", "../gone": "../gone", "gone": None, "a,b": None, "there\n": None, "": None}
    for text, target in contents.items():
        (tmp_path / "link").write_text(text)
        assert written_link(tmp_path / "link") == (None if target is None else tmp_path / target)
