"""Every row of a table is read, or the entry that holds it is refused by name: links, formats, hidden files, names."""

import os
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.ingest.layout.listing import find_files, unread_entries
from feature_repo.errors import DatasetError

ROWS = pa.table({"item_id": ["i1"]})


def part(path: Path, rows: pa.Table = ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path)
    return path


def names(directory: Path, *, served: bool = False) -> list[str]:
    return [str(file.name) for file in find_files(directory, "items", served=served)[1]]


def refused(directory: Path, *, served: bool = False) -> str:
    with pytest.raises(DatasetError) as caught:
        find_files(directory, "items", served=served)
    message = str(caught.value)
    assert message.endswith(".")
    assert message.isprintable()
    return message


@pytest.fixture
def items(tmp_path: Path) -> Path:
    """The folder `dataset/items` with one part."""
    return part(tmp_path / "dataset" / "items" / "a.parquet").parent


@pytest.mark.parametrize("served", [False, True])
def test_links_to_files_and_folders_are_followed(items: Path, tmp_path: Path, served: bool) -> None:
    outside = part(tmp_path / "outside" / "more" / "b.parquet")
    (items / "day=1").symlink_to(outside.parents[1])
    (items / "c.parquet").symlink_to(os.path.relpath(part(tmp_path / "c"), items))
    assert names(items.parent, served=served) == ["items/a.parquet", "items/c.parquet", "items/day=1/more/b.parquet"]


def test_a_table_may_be_a_link(tmp_path: Path) -> None:
    part(tmp_path / "outside" / "b.parquet")
    (tmp_path / "items.parquet").symlink_to("outside")
    assert names(tmp_path) == ["items.parquet/b.parquet"]


def test_links_that_a_copy_turned_into_text_are_followed(items: Path, tmp_path: Path) -> None:
    part(tmp_path / "outside" / "b.parquet")
    (items / "day=1").write_text("../../outside")
    found = find_files(items.parent, "items")[1][1]
    assert found.name == PurePosixPath("items/day=1/b.parquet")
    assert pq.read_table(found.path) == ROWS


@pytest.mark.parametrize("name", ["b.parquet", "day=1", "b"])
@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("served", [False, True])
def test_a_broken_link_is_refused(items: Path, name: str, as_text: bool, served: bool) -> None:
    if as_text:
        (items / name).write_text("../gone/b")
    else:
        (items / name).symlink_to("../gone/b")
    message = refused(items.parent, served=served)
    assert f"{items / name} is a link to {items.parent / 'gone' / 'b'}" in message
    assert "No such file or directory" in message


def test_a_table_that_is_a_broken_link_is_not_absent(tmp_path: Path) -> None:
    (tmp_path / "items.parquet").symlink_to("/nowhere")
    assert "items.parquet is a link to /nowhere" in refused(tmp_path)


def test_links_in_a_circle(items: Path, tmp_path: Path) -> None:
    (items / "up").symlink_to("..")
    assert "a folder that holds it" in refused(items.parent) or "is a link to" in refused(items.parent)
    (items / "up").unlink()
    (items / "one").symlink_to("two")
    (items / "two").symlink_to("one")
    assert "levels of symbolic links" in refused(items.parent)


@pytest.mark.parametrize("name", ["latest.parquet", "day=2"])
def test_a_file_reached_twice_is_refused(items: Path, name: str) -> None:
    part(items / "day=1" / "b.parquet")
    (items / name).symlink_to("day=1/b.parquet" if name.endswith("parquet") else "day=1")
    assert "are the same file" in refused(items.parent)


@pytest.mark.parametrize("name", ["b.csv", "b.json", "b.parquet.gz", "b.txt", "b", "day=1/b.csv", "b.parquet.dvc"])
def test_files_of_other_formats_are_refused(items: Path, name: str) -> None:
    (items / name).parent.mkdir(exist_ok=True)
    (items / name).write_bytes(b"user_id,item_id\n1,2\n")
    assert refused(items.parent).startswith(str(items / name))


@pytest.mark.parametrize("name", ["b.pq", "part-00000", "c.PARQUET", "b.parq", "b.parquet.bak"])
def test_parquet_under_another_suffix_is_refused(items: Path, name: str) -> None:
    part(items / name)
    assert f"{items / name} is a Parquet file without the suffix" in refused(items.parent)


@pytest.mark.parametrize("name", ["README.md", "_SUCCESS", ".a.parquet.crc", "SUCCESS", "a.parquet.dvc", "LICENSE"])
def test_notes_and_marks_are_no_rows(items: Path, name: str) -> None:
    (items / name).write_text("" if name == "SUCCESS" else "about the table")
    assert names(items.parent) == ["items/a.parquet"]


@pytest.mark.parametrize("name", ["_b.parquet", ".b.parquet", "_old/b.parquet", ".old/day=1/b.parquet"])
def test_hidden_rows_are_refused_in_a_dataset_and_unfinished_in_a_log(items: Path, name: str) -> None:
    part(items / name)
    assert f"{items / name} is hidden" in refused(items.parent)
    assert names(items.parent, served=True) == ["items/a.parquet"]


def test_hidden_names_of_other_programs_and_targets_of_links(items: Path) -> None:
    part(items / "_temporary" / "0" / "b.parquet")
    part(items / "_metadata")
    part(items / "..2024" / "c.parquet")
    (items / "c.parquet").symlink_to("..2024/c.parquet")
    part(items / "_year=2024" / "d.parquet")
    assert names(items.parent) == ["items/_year=2024/d.parquet", "items/a.parquet", "items/c.parquet"]


@pytest.mark.parametrize("place", ["", "day=1"])
@pytest.mark.parametrize(
    ("mark", "name"),
    [
        ("_delta_log/0.json", "a Delta table"),
        (".hoodie/hoodie.properties", "a Hudi table"),
        ("metadata/v1.metadata.json", "an Iceberg table"),
    ],
)
@pytest.mark.parametrize("linked", [False, True])
def test_other_table_formats_are_refused_at_any_level(
    items: Path, tmp_path: Path, place: str, mark: str, name: str, linked: bool
) -> None:
    folder = tmp_path / "lake" if linked else items / place
    (folder / mark).parent.mkdir(parents=True)
    (folder / mark).touch()
    part(folder / "data" / "b.parquet")
    if linked:  # a link to a part inside a table is found by the folders above the part
        (items / "b.parquet").symlink_to(folder / "data" / "b.parquet")
    message = refused(items.parent)
    assert f"{folder} is {name}" in message
    assert "the command is: " in message


@pytest.mark.parametrize("name", ["Items.parquet", "item.parquet", "items.csv", "items.parquet.gz", "items.parq"])
def test_a_table_that_is_absent_by_accident(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"rows")
    assert f"{tmp_path / name} looks like the table items, and items is absent" in refused(tmp_path)


def test_an_empty_folder_or_a_folder_of_notes_is_not_an_absent_table(tmp_path: Path) -> None:
    (tmp_path / "items").mkdir()
    assert "items holds no Parquet file" in refused(tmp_path)
    (tmp_path / "items" / "README.md").touch()
    assert "items holds no Parquet file" in refused(tmp_path)
    assert names(tmp_path, served=True) == []


def test_next_to_a_table_parquet_is_refused_and_other_entries_are_named(tmp_path: Path) -> None:
    part(tmp_path / "items.parquet")
    for name in ("items.csv", "notes.md", "items.md", "model.bin"):
        (tmp_path / name).write_text("rows")
    part(tmp_path / "products.parquet")
    assert names(tmp_path) == ["items.parquet"]
    assert unread_entries(tmp_path) == ["items.csv", "products.parquet"]
    part(tmp_path / "items_2.parquet")
    assert "items_2.parquet looks like the table items, next to items.parquet" in refused(tmp_path)


def test_what_is_neither_file_nor_folder_is_not_waited_for(items: Path) -> None:
    os.mkfifo(items / "b.parquet")
    assert "neither a file nor a folder" in refused(items.parent)


@pytest.mark.parametrize("name", [b"new\nline.parquet", b"\xff.parquet"])
def test_names_that_cannot_be_printed_are_refused(items: Path, name: bytes) -> None:
    (items / "a.parquet").rename(Path(os.fsdecode(os.fsencode(items) + b"/" + name)))
    assert "outside of text" in refused(items.parent)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_closed_folder_is_named(items: Path) -> None:
    items.chmod(0)
    try:
        assert f"{items} cannot be read: Permission denied." in refused(items.parent)
    finally:
        items.chmod(0o755)
