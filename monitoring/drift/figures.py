"""Gauges of a drift report in Prometheus' text format, for the node exporter's textfile collector or a Pushgateway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import get_args

from monitoring.drift.report import DriftReport, Severity

HELP = {
    "recs_drift_psi": "Decile PSI of a column against the reference of the bundle, calendar features included.",
    "recs_drift_alarms": "1 for a column that is significant and counts towards the verdict, else 0.",
    "recs_drift_features": "Columns that count towards the verdict, by severity.",
    "recs_drift_requests": "Ranked requests in the last measured window.",
    "recs_drift_last_run_timestamp_seconds": "Time of the last measurement, unix seconds.",
}


def drift_figures(report: DriftReport) -> str:
    """Gauges of a report; a column without a PSI has no gauge.

    Args:
        report: The report. Its dataset is a label of every gauge: one collector may read the files of several datasets.
    """
    dataset = {"dataset": report.dataset}
    counting = [feature.severity for feature in report.features if feature.alarms]
    severities: tuple[Severity, ...] = get_args(Severity)
    measured = [({**dataset, "feature": found.name}, found) for found in report.features]
    gauges: dict[str, list[tuple[Mapping[str, str], float]]] = {
        "recs_drift_psi": [(labels, found.psi) for labels, found in measured if found.psi is not None],
        "recs_drift_alarms": [
            (labels, int(found.alarms and found.severity == "significant"))
            for labels, found in measured
            if found.psi is not None
        ],
        "recs_drift_features": [({**dataset, "severity": name}, counting.count(name)) for name in severities],
        "recs_drift_requests": [(dataset, report.num_requests)],
        "recs_drift_last_run_timestamp_seconds": [(dataset, round(report.measured_at, 3))],
    }
    lines = [line for name, samples in gauges.items() for line in _gauge(name, samples)]
    return "\n".join(lines) + "\n"


def _gauge(name: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> list[str]:
    lines = [f"{name}{{{','.join(map(_label, labels, labels.values()))}}} {value!r}" for labels, value in samples]
    return [f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge", *lines] if lines else []


def _label(name: str, text: str) -> str:
    # The format has exactly these three escapes; a collector rejects the whole file for any other.
    for plain, escaped in (("\\", r"\\"), ('"', r"\""), ("\n", r"\n")):
        text = text.replace(plain, escaped)
    return f'{name}="{text}"'
