"""The data gate: decides whether a run may continue with the rows and statistics of a dataset.

A dataset that fails the gate raises `QualityError`. The gate runs as a separate task after the reports are written,
because a failing task loses its output.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.validation.report import QualityReport
from feature_repo.errors import QualityError
from feature_repo.storage.files import read_json, write_text

NUM_NAMED = 3


def require_quality(quarantine_dir: Path | str, page_path: Path | str) -> QualityReport:
    """Checks that the interactions of a dataset are clean enough, and that its tables match.

    Args:
        quarantine_dir: Directory with the report of `check_rows`.
        page_path: The HTML page of the report, named in the error.

    Raises:
        QualityError: The quality rate is below the dataset's minimum; names the worst column, rule and count. Or a
            join matches nothing or less than its minimum; names ids of both tables.
    """
    report = QualityReport.read(Path(quarantine_dir))
    if report.rate >= report.minimum_rate:
        _require_joins(report, page_path)
        return report
    events = report.tables["interactions"]
    worst = events.worst
    named = ""
    if worst is not None:
        subject = "the row" if worst.column == "*" else worst.column
        named = f", most of all {subject} {worst.rule} in {worst.count:,} ({worst.count / events.rows:.1%})"
    rate, minimum = _apart(report.rate, report.minimum_rate)
    raise QualityError(
        f"Only {rate} of the {events.rows - events.served_rows:,} interactions of '{report.dataset}' are "
        f"clean, below the minimum of {minimum} (quality.minimum_rate of dataset.toml){named}; "
        f"see the report {page_path}."
    )


def _require_joins(report: QualityReport, page_path: Path | str) -> None:
    for join in report.joins:
        if not join.passed:
            minimum = f", below the minimum of {join.minimum:.2%}" if join.minimum else ""
            raise QualityError(
                f"Tables of '{report.dataset}' do not match: {join.finding}{minimum}; write both alike, "
                f"or set quality.minimum_{join.name} = 0 in dataset.toml to continue; see the report {page_path}."
            )


def require_schema(statistics_dir: Path | str, page_path: Path | str) -> None:
    """Checks that the statistics of a dataset fit the stored schema; drift never stops a run.

    Args:
        statistics_dir: Directory with statistics.json.
        page_path: The HTML page of the statistics, named in the error.

    Raises:
        QualityError: An anomaly means broken data; names the first anomalies and the schema directory.
    """
    statistics: dict[str, Any] = read_json(Path(statistics_dir) / "statistics.json")
    broken = [anomaly for anomaly in statistics["anomalies"] if anomaly["severity"] == "error"]
    if not broken:
        return
    named = "; ".join(f"{found['table']}.{found['column']}: {found['description']}" for found in broken[:NUM_NAMED])
    more = f" and {len(broken) - NUM_NAMED} more" if len(broken) > NUM_NAMED else ""
    raise QualityError(
        f"'{statistics['dataset']}' no longer fits the schema kept in {statistics['schema_dir']} ({named}{more}); "
        f"fix the data, or edit the schema if the change is intended; see the report {page_path}."
    )


def hand_over(page_path: Path | str, report_dir: Path | str, name: str) -> Path:
    """Copies a page to `report_dir`, unless that is ""; returns the path to show to people."""
    if not str(report_dir):
        return Path(page_path)
    target = Path(report_dir) / name
    write_text(target, Path(page_path).read_text(encoding="utf-8"))
    return target


def _apart(rate: float, minimum: float) -> tuple[str, str]:
    """Both rates as percentages, with enough digits to show that the rate is below the minimum."""
    for digits in range(1, 8):
        shown = f"{rate:.{digits}%}", f"{minimum:.{digits}%}"
        if shown[0] != shown[1]:
            break
    return shown
