"""A drift report as gauges in Prometheus' text format, for the node exporter's textfile collector or a Pushgateway."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import get_args

from monitoring.drift.report import DriftReport, Severity

HELP = {
    "recs_drift_psi": "Decile PSI of a column against the reference of the bundle; calendar features among them.",
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
    gauges: dict[str, list[tuple[Mapping[str, str], float]]] = {
        "recs_drift_psi": [
            ({**dataset, "feature": found.name}, found.psi) for found in report.features if found.psi is not None
        ],
        "recs_drift_features": [({**dataset, "severity": name}, counting.count(name)) for name in severities],
        "recs_drift_requests": [(dataset, report.num_requests)],
        "recs_drift_last_run_timestamp_seconds": [(dataset, round(report.measured_at, 3))],
    }
    lines = [line for name, samples in gauges.items() for line in _gauge(name, samples)]
    return "\n".join(lines) + "\n"


def _gauge(name: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> list[str]:
    # A JSON string of what stands in names is an escaped label value.
    told = [
        f"{name}{{{','.join(f'{label}={json.dumps(text)}' for label, text in labels.items())}}} {value!r}"
        for labels, value in samples
    ]
    return [f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge", *told] if told else []
