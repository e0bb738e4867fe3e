"""Prometheus rules, in one place for a plain rule file and for the PrometheusRule of the cluster.

Every alert has a page of its own in monitoring/runbooks. Refuses to know where Prometheus runs.
"""

from __future__ import annotations

from typing import Any

from monitoring.rules.data import DATA
from monitoring.rules.drift import DRIFT
from monitoring.rules.model import Alert, Recording, Severity
from monitoring.rules.recording import RECORDINGS
from monitoring.rules.serving import PREDICTOR, SERVING, TRANSFORMER

__all__ = [
    "ALERTS",
    "PREDICTOR",
    "RECORDINGS",
    "RUNBOOKS",
    "TRANSFORMER",
    "Alert",
    "Recording",
    "Severity",
    "rule_file",
]

RUNBOOKS = "monitoring/runbooks"
ALERTS: tuple[Alert, ...] = (*SERVING, *DATA, *DRIFT)


def rule_file(runbooks: str = RUNBOOKS) -> dict[str, Any]:
    """All rules as a Prometheus rule file, which is the `spec` of a PrometheusRule too.

    Args:
        runbooks: Folder or URL that notifications link the runbooks in.
    """
    groups = {
        "kuberec-recording": [recording.rendered() for recording in RECORDINGS],
        "kuberec-serving": [alert.rendered(runbooks) for alert in SERVING],
        "kuberec-data": [alert.rendered(runbooks) for alert in DATA],
        "kuberec-drift": [alert.rendered(runbooks) for alert in DRIFT],
    }
    return {"groups": [{"name": name, "rules": rules} for name, rules in groups.items()]}
