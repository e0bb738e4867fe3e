"""Real TFDV in its own interpreter: schema kept and edited, anomalies, drift, and a page to look at.

One store lives through the module: a first run infers the schemas, a person edits one, a later run brings broken data.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from components.validation.environment import ROOT, compute_statistics
from components.validation.gate import require_schema
from components.validation.tfdv.schema import schema_version
from feature_repo.errors import QualityError, SettingsError
from feature_repo.storage.files import read_json
from tests.kit.prepared_tables import START, config, event, write_prepared

NUM_EVENTS = 6_000


def busy_events(**changes: Any) -> list[dict[str, Any]]:
    """Events a few minutes apart over 25 days; a change is a function of the event's number."""
    rows = []
    for number in range(NUM_EVENTS):
        moment = START + timedelta(minutes=6 * number)
        row = event(number, timestamp=moment, device="phone", price=2.0 + number * 7 % 40 / 10)
        rows.append(row | {name: change(number) for name, change in changes.items()})
    return rows


@dataclass(frozen=True)
class Runs:
    """Two runs on one store."""

    store: Path
    first: Mapping[str, Any]
    inferred: str
    edited: str
    later: Mapping[str, Any]
    folder: Path


@pytest.fixture(scope="module")
def runs(tfdv_python: str, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("statistics")
    store = folder / "store"
    items = [
        {"item_id": f"i{n}", "category": f"c{n % 3}", "in_stock": n % 2 == 0, "created_at": START} for n in range(11)
    ]
    write_prepared(folder / "tables", config(), interactions=busy_events(), items=items)
    compute_statistics(str(folder / "tables"), str(folder / "first"), str(store), str(folder / "1.html"), tfdv_python)
    path = store / "schema" / "interactions.pbtxt"
    inferred = path.read_text()
    bound = 'name: "price"\n  float_domain { min: 0 max: 5.5 }  # no dearer here'
    edited = inferred.replace('name: "price"', bound)
    path.write_text(edited)
    newest = NUM_EVENTS - 5 * 240  # the test span: a fifth of 25 days, five days of 240 events
    later = busy_events(
        country=lambda n: "XX" if n % 2 else "SE",
        device=lambda _: None,
        session_id=lambda n: f"s{n // 9}",
        price=lambda n: 2.0 + n * 7 % 40 / 10 * (3 if n >= newest else 1),
    )
    write_prepared(folder / "changed", config(), interactions=later)
    compute_statistics(str(folder / "changed"), str(folder / "later"), str(store), str(folder / "2.html"), tfdv_python)
    first, second = (read_json(folder / name / "statistics.json") for name in ("first", "later"))
    return Runs(store, first, inferred, edited, second, folder)


def test_the_first_run_infers_a_schema_a_person_can_read(runs: Runs) -> None:
    assert runs.first["anomalies"] == []
    assert runs.first["tables"]["interactions"]["schema_is_new"]
    assert 'name: "timestamp_hour"' in runs.inferred  # TFDV itself would drop the timestamp
    assert 'value: "click"' in runs.inferred
    assert 'value: "u1"' not in runs.inferred  # ids have no domain
    assert runs.inferred.startswith("# The schema of 'interactions'")
    assert {path.name for path in (runs.store / "schema").iterdir()} == {"interactions.pbtxt", "items.pbtxt"}


def test_statistics_say_what_the_columns_hold(runs: Runs) -> None:
    columns = {column["name"]: column for column in runs.first["tables"]["interactions"]["columns"]}
    assert columns["country"]["top"] == [["SE", 0.5], ["IN", 0.5]]
    assert columns["event_id"]["distinct"] == NUM_EVENTS
    assert (columns["price"]["least"], columns["price"]["greatest"]) == (2.0, 5.9)
    assert columns["price"]["mean"] == pytest.approx(3.95)
    assert sum(columns["price"]["weights"]) == pytest.approx(1.0, abs=1e-4)
    assert sum(columns["timestamp_hour"]["weights"]) == pytest.approx(1.0, abs=1e-4)
    assert "session_id" not in columns  # holds nothing
    assert runs.first["tables"]["impressions"]["rows"] == 0


def test_broken_data_are_anomalies_and_stop_the_run(runs: Runs) -> None:
    found = {(one["table"], one["column"]): one for one in runs.later["anomalies"]}
    assert {column for (_, column), one in found.items() if one["severity"] == "error"} == {
        "country",  # half of the values are new
        "device",  # gone
        "price",  # over the bound a person wrote
        "*",  # items without a row
    }
    assert found["interactions", "session_id"]["severity"] == "note"
    with pytest.raises(QualityError, match=r"interactions\.country.*edit the schema"):
        require_schema(runs.folder / "later", runs.folder / "2.html")
    require_schema(runs.folder / "first", runs.folder / "1.html")


def test_the_edited_schema_is_kept_and_only_appended_to(runs: Runs) -> None:
    now = (runs.store / "schema" / "interactions.pbtxt").read_text()
    assert now.startswith(runs.edited.rstrip())
    assert 'name: "session_id"' in now.removeprefix(runs.edited.rstrip())


def test_drift_of_the_newest_span_is_found_and_steady_columns_are_not(runs: Runs) -> None:
    def drifted(run: Mapping[str, Any]) -> set[str]:
        return {one["column"] for one in run["drift"] if one["drifted"]}

    assert drifted(runs.first) == set()
    assert {"price", "country", "timestamp_hour"} <= {one["column"] for one in runs.first["drift"]}
    assert drifted(runs.later) == {"price"}


def test_the_page_shows_itself_without_a_network(runs: Runs) -> None:
    page = (runs.folder / "2.html").read_text()
    assert "stops the run" in page
    assert "interactions.device" in page
    assert "<svg" in page
    assert "<script" not in page
    assert "http" not in page


def test_the_schema_version_follows_an_edit(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "schema").mkdir()
    before = schema_version(str(tmp_path))
    (tmp_path / "schema" / "items.pbtxt").write_text(runs.inferred)
    assert schema_version(str(tmp_path)) != before


def test_a_schema_edited_into_nonsense_is_a_sentence(runs: Runs, tfdv_python: str, tmp_path: Path) -> None:
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "interactions.pbtxt").write_text('feature { name: "price" oops }')
    arguments = [str(runs.folder / "tables"), str(tmp_path / "out"), str(tmp_path)]
    command = [tfdv_python, "-m", "components.validation.tfdv.statistics", *arguments]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == QualityError.exit_code
    assert "interactions.pbtxt is not a valid schema" in finished.stderr.splitlines()[-1]
    assert "Traceback" not in finished.stderr


def test_tensorflow_keeps_quiet(runs: Runs, tfdv_python: str, tmp_path: Path) -> None:
    arguments = [str(runs.folder / "tables"), str(tmp_path / "out"), str(tmp_path / "store")]
    command = [tfdv_python, "-m", "components.validation.tfdv.statistics", *arguments]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout == ""
    assert all(line.startswith("statistics") for line in finished.stderr.splitlines())


def test_the_component_loads_under_the_kfp_of_its_image(tfdv_python: str) -> None:
    code = "import components.validation.component as c; print(c.statistics_op.name)"
    command = [tfdv_python, "-W", "ignore", "-c", code]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "statistics-op"


def test_a_missing_interpreter_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="KUBEREC_VALIDATION_PYTHON"):
        compute_statistics("tables", "out", "store", "page.html", str(tmp_path / "python"))
