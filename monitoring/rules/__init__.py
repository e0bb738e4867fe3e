"""Prometheus rules, shared by the rule file of one machine and the PrometheusRule of a cluster.

Every alert has a runbook in monitoring/runbooks, in the folder of its group.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from monitoring.rules.data import DATA
from monitoring.rules.drift import DRIFT
from monitoring.rules.model import Alert, Recording, Severity
from monitoring.rules.recording import RECORDINGS
from monitoring.rules.redis import REDIS, REDIS_JOB
from monitoring.rules.serving import PREDICTOR, SERVING, TRANSFORMER

__all__ = [
    "ALERTS",
    "GROUPS",
    "PREDICTOR",
    "RECORDINGS",
    "REDIS_JOB",
    "RUNBOOKS",
    "TRANSFORMER",
    "Alert",
    "Recording",
    "Severity",
    "rule_file",
]

RUNBOOKS = "monitoring/runbooks"
# Name of a group, and of its folder of runbooks -> its alerts.
GROUPS: Mapping[str, tuple[Alert, ...]] = {"serving": SERVING, "data": DATA, "redis": REDIS, "drift": DRIFT}
ALERTS: tuple[Alert, ...] = tuple(chain(*GROUPS.values()))


def rule_file(runbooks: str = RUNBOOKS, namespace: str = "") -> dict[str, Any]:
    """All rules as the content of a Prometheus rule file, which is also the `spec` of a PrometheusRule.

    Args:
        runbooks: Folder or URL of the runbooks, for the links of notifications.
        namespace: Namespace of the installation in a cluster: the rules read its series only, and recorded series and
            alerts have the label `namespace`. "" outside of a cluster.
    """
    groups = {"kuberec-recording": [recording.rendered(namespace) for recording in RECORDINGS]}
    for group, alerts in GROUPS.items():
        folder = f"{runbooks.rstrip('/')}/{group}"
        groups[f"kuberec-{group}"] = [alert.rendered(folder, namespace) for alert in alerts]
    return {"groups": [{"name": name, "rules": rules} for name, rules in groups.items()]}
