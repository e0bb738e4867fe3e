"""The gate: what passes, what does not, and whether its sentence is enough to act on."""

from pathlib import Path

import pytest

from components.validation.gate import require_quality, require_schema
from components.validation.rows.checks import check_rows
from feature_repo.errors import QualityError
from feature_repo.storage.files import write_json
from tests.kit.prepared_tables import config, event, write_prepared


def test_thirty_percent_of_null_users_stop_the_run_with_a_report(tmp_path: Path) -> None:
    rows = [event(n, user_id=None if n % 10 < 3 else f"u{n % 7}") for n in range(1_000)]
    tables = write_prepared(tmp_path / "tables", config(), interactions=rows)
    check_rows(tables, tmp_path / "clean", tmp_path / "quarantine", tmp_path / "report.html")
    with pytest.raises(QualityError) as stopped:
        require_quality(tmp_path / "quarantine", tmp_path / "report.html")
    sentence = str(stopped.value)
    for part in ("70.0%", "95.0%", "user_id is missing in 300", "1,000 interactions", str(tmp_path / "report.html")):
        assert part in sentence
    page = (tmp_path / "report.html").read_text()
    assert "stops the run" in page
    assert all(f"row {row}" in page for row in (0, 1, 2))


def test_two_negative_prices_among_many_pass(tmp_path: Path) -> None:
    rows = [event(n, price=-1.0 if n in (5, 6) else 3.0) for n in range(400)]
    tables = write_prepared(tmp_path / "tables", config(), interactions=rows)
    check_rows(tables, tmp_path / "clean", tmp_path / "quarantine", tmp_path / "report.html")
    assert require_quality(tmp_path / "quarantine", tmp_path / "report.html").tables["interactions"].bad == 2


def test_the_rate_and_the_minimum_never_read_the_same_when_it_fails(tmp_path: Path) -> None:
    rows = [event(n, price=-1.0 if n < 51 else 3.0) for n in range(1_000)]
    tables = write_prepared(tmp_path / "tables", config(quality={"minimum_rate": 0.9491}), interactions=rows)
    check_rows(tables, tmp_path / "clean", tmp_path / "quarantine", tmp_path / "report.html")
    with pytest.raises(QualityError, match=r"Only 94\.90% .* minimum of 94\.91%"):
        require_quality(tmp_path / "quarantine", tmp_path / "report.html")


@pytest.mark.parametrize("severity", ["error", "note"])
def test_only_errors_of_the_schema_stop_a_run(severity: str, tmp_path: Path) -> None:
    found = {"table": "items", "column": "price", "severity": severity, "kind": "K", "description": "Column is absent"}
    drift = [{"table": "interactions", "column": "price", "drifted": True}]
    statistics = {"dataset": "shop", "schema_dir": "store/schema", "anomalies": [found], "drift": drift}
    write_json(tmp_path / "statistics.json", statistics)
    if severity == "note":
        require_schema(tmp_path, "page.html")
        return
    with pytest.raises(QualityError, match=r"items\.price: Column is absent.*edit the schema.*page\.html\.$"):
        require_schema(tmp_path, "page.html")
