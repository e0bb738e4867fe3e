"""Datasets as they come from the field are read to the last row, or refused in one sentence that names the fault."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.ingest.__main__ import main
from components.validation.rows.checks import check_rows
from feature_repo.dataset.tables import PreparedTables
from feature_repo.errors import DatasetError
from tests.kit.dataset_cases import STRIDE, SUBJECTS, DatasetCase, values, write_dataset_case

FEW, MANY = 60, 300
RULES_EVERY = 10  # row rules cost five times as much as ingest


@pytest.mark.parametrize("number", range(FEW))
def test_a_dataset_of_the_field(number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(number, tmp_path, capsys)


@pytest.mark.long
@pytest.mark.parametrize("number", range(MANY))
def test_many_datasets_of_the_field(number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(number, tmp_path, capsys)


def test_every_case_is_the_subject_of_a_dataset() -> None:
    assert {number * STRIDE % len(SUBJECTS) for number in range(MANY)} == set(range(len(SUBJECTS)))


def check(number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = write_dataset_case(number, tmp_path / "dataset")
    before = sorted(tmp_path.rglob("*"))
    arguments = [str(tmp_path / "dataset"), str(tmp_path / "tables")]
    if not case.refused:
        main(arguments)
        check_read(case, tmp_path, *capsys.readouterr())
        if number % RULES_EVERY == 0 or any(case.bad.values()):
            check_rules(case, tmp_path)
        return
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert caught.value.code == DatasetError.exit_code
    assert sentence.startswith("error: "), case.name
    assert sentence.endswith("."), case.name
    assert [word for word in case.refused if word not in sentence] == [], (case.name, sentence)
    assert sorted(tmp_path.rglob("*")) == before, case.name


def check_read(case: DatasetCase, tmp_path: Path, out: str, err: str) -> None:
    assert json.loads(out)["num"] == {**case.rows, "users": 0, "impressions": 0}, case.name
    assert [word for word in case.said if word not in err] == [], (case.name, err)
    tables = PreparedTables.open(tmp_path / "tables")
    for (table, column), expected in case.expected.items():
        assert values(tables.read(table), column) == expected, (case.name, column)


def check_rules(case: DatasetCase, tmp_path: Path) -> None:
    report = check_rows(tmp_path / "tables", tmp_path / "clean", tmp_path / "bad", tmp_path / "page.html")
    found = {table: (report.tables[table].rows, report.tables[table].bad) for table in case.rows}
    assert found == {table: (rows, case.bad[table]) for table, rows in case.rows.items()}, case.name
