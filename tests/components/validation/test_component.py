"""The checks as pipeline steps, run by kfp on this machine: reports first, then the gates."""

import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kfp.dsl import HTML, Dataset

from components.validation.component import require_quality_op
from components.validation.environment import ROOT
from components.validation.rows.checks import check_rows
from feature_repo.errors import QualityError
from tests.kit.prepared_tables import config, event, write_prepared

PIPELINE = """
import sys
from kfp import dsl, local
from components.ingest import dataset_fingerprint
from components.ingest.component import ingest_dataset
from components.validation.component import check_rows_op, require_quality_op, require_schema_op, statistics_op

@dsl.pipeline(name="checks")
def checks(dataset: str, fingerprint: str, store: str):
    tables = ingest_dataset(dataset=dataset, fingerprint=fingerprint, code_version="v1").outputs["tables"]
    rows = check_rows_op(tables=tables, code_version="v1")
    gate = require_quality_op(quarantine=rows.outputs["quarantine"], report=rows.outputs["report"])
    found = statistics_op(clean=rows.outputs["clean"], store=store, schema_version="", code_version="v1").after(gate)
    require_schema_op(statistics=found.outputs["statistics"], report=found.outputs["report"])

dataset, folder = sys.argv[1:]
local.init(local.SubprocessRunner(use_venv=False), pipeline_root=folder + "/runs", raise_on_error=True)
checks(dataset=dataset, fingerprint=dataset_fingerprint(dataset), store=folder + "/store")
"""
TOML = """
name = "shop"
[objectives]
click = ["click"]
"""


def run_checks(folder: Path, num_nulls: int, python: str) -> subprocess.CompletedProcess[str]:
    """Runs the pipeline on 1,000 events, of which some lack their user."""
    dataset = folder / "dataset"
    shutil.rmtree(dataset, ignore_errors=True)
    dataset.mkdir(parents=True)
    (dataset / "dataset.toml").write_text(TOML)
    rows = [event(n, user_id=None if n < num_nulls else f"u{n % 9}") for n in range(1_000)]
    pq.write_table(pa.Table.from_pylist(rows), dataset / "interactions.parquet")
    return subprocess.run(
        [sys.executable, "-c", PIPELINE, str(dataset), str(folder)],
        cwd=ROOT,
        env={
            "KUBEREC_VALIDATION_PYTHON": python,
            "PYTHONPATH": str(ROOT),
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_clean_data_pass_both_gates_and_leave_both_pages(tfdv_python: str, tmp_path: Path) -> None:
    finished = run_checks(tmp_path, num_nulls=2, python=tfdv_python)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    pages = sorted(path.parent.name for path in (tmp_path / "runs").rglob("report"))
    assert pages == ["check-rows-op", "statistics-op"]
    assert all("<!doctype html>" in path.read_text() for path in (tmp_path / "runs").rglob("report"))
    assert (tmp_path / "store" / "schema" / "interactions.pbtxt").is_file()


def test_failing_quality_stops_before_the_statistics_and_keeps_the_report(tfdv_python: str, tmp_path: Path) -> None:
    finished = run_checks(tmp_path, num_nulls=300, python=tfdv_python)
    assert finished.returncode != 0
    said = finished.stdout + finished.stderr
    assert "user_id is missing in 300 (30.0%)" in said
    assert not (tmp_path / "store").exists()
    (page,) = (tmp_path / "runs").rglob("report")
    assert "stops the run" in page.read_text()


def test_the_gate_step_ends_with_the_exit_code_of_quality(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [event(n, item_id=None if n % 2 else "i1") for n in range(100)]
    tables = write_prepared(tmp_path / "tables", config(), interactions=rows)
    quarantine = Dataset(name="quarantine", uri=str(tmp_path / "quarantine"), metadata={})
    report = HTML(name="report", uri=str(tmp_path / "report.html"), metadata={})
    check_rows(tables, tmp_path / "clean", quarantine.path, report.path)
    with pytest.raises(SystemExit) as stopped:
        require_quality_op.python_func(quarantine, report, str(tmp_path / "run"))
    assert stopped.value.code == QualityError.exit_code
    said = capsys.readouterr().err
    assert "item_id is missing in 50" in said
    assert str(tmp_path / "run" / "quality.html") in said
    assert (tmp_path / "run" / "quality.html").read_text() == Path(report.path).read_text()
