"""A drift report as gauges in Prometheus' text format, for the node exporter's textfile collector or a Pushgateway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import get_args

from monitoring.drift.report import DriftReport, Severity

HELP = {
    "recs_drift_psi": "Decile PSI of a column against the reference of the bundle; calendar features among them.",
    "recs_drift_alarms": "1 for a column that is significant and counts towards the verdict, else 0.",
    "recs_drift_features": "Columns of each severity, of those that count towards the verdict.",
    "recs_drift_requests": "Ranked requests in the window that was measured last.",
    "recs_drift_last_run_timestamp_seconds": "When drift was measured last.",
}


def drift_figures(report: DriftReport) -> str:
    """Gauges of a report; a column without a figure has no gauge.

    Args:
        report: Its dataset is a label of every gauge, as one collector may read the files of several.
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
    told = [f"{name}{{{','.join(map(_label, labels, labels.values()))}}} {value!r}" for labels, value in samples]
    return [f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge", *told] if told else []


def _label(name: str, text: str) -> str:
    # The format knows these three escapes; any other, and a collector refuses the whole file.
    for plain, escaped in (("\\", r"\\"), ('"', r"\""), ("\n", r"\n")):
        text = text.replace(plain, escaped)
    return f'{name}="{text}"'
