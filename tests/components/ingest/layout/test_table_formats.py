"""Folders of Delta, Iceberg and Hudi are recognised, and the command names the folder's current state."""

from pathlib import Path

import pytest

from components.ingest.layout.table_formats import TableFormat, foreign_format


def made(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def of(folder: Path) -> TableFormat:
    found = foreign_format(folder)
    assert found is not None
    return found


def test_delta_and_hudi(tmp_path: Path) -> None:
    delta = of(made(tmp_path / "delta", "_delta_log/00000000000000000000.json"))
    assert delta.name == "a Delta table"
    assert f"DeltaTable('{tmp_path / 'delta'}')" in delta.command
    hudi = of(made(tmp_path / "hudi", ".hoodie/hoodie.properties"))
    assert hudi.name == "a Hudi table"
    assert "format('hudi')" in hudi.command


@pytest.mark.parametrize(
    ("names", "newest"),
    [
        (("v9.metadata.json", "v10.metadata.json", "version-hint.text"), "v10.metadata.json"),
        (("00002-ab.metadata.json", "00010-cd.metadata.json", "snap-1.avro"), "00010-cd.metadata.json"),
    ],
)
def test_iceberg_is_exported_from_its_newest_metadata(tmp_path: Path, names: tuple[str, ...], newest: str) -> None:
    iceberg = of(made(tmp_path, *(f"metadata/{name}" for name in names), "data/part.parquet"))
    assert iceberg.name == "an Iceberg table"
    assert f"from_metadata('{tmp_path / 'metadata' / newest}')" in iceberg.command


def test_plain_folders(tmp_path: Path) -> None:
    assert foreign_format(made(tmp_path, "metadata/readme.json", "data/part.parquet")) is None
