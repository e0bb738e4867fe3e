"""The generated Grafana dashboard of the service: https://grafana.com/docs/grafana/latest/dashboards/.

Its queries use the series that `monitoring.rules` records, so the rules must be loaded in the same Prometheus.
"""

from __future__ import annotations

import hashlib
from typing import Any

from monitoring.dashboards.drift import DRIFT
from monitoring.dashboards.grafana import dashboard
from monitoring.dashboards.model import Panel, Row, Series
from monitoring.dashboards.redis import REDIS
from monitoring.dashboards.service import DATA, SERVICE

__all__ = ["ROWS", "Panel", "Row", "Series", "kuberec_dashboard"]

ROWS: tuple[Row, ...] = (SERVICE, DATA, REDIS, DRIFT)
UID_LENGTH = 40  # Grafana refuses longer ids


def kuberec_dashboard(namespace: str = "") -> dict[str, Any]:
    """The JSON model that Grafana imports.

    Args:
        namespace: Namespace of the installation in a cluster, which the dashboard shows first; "" for all series.
    """
    name = f"kuberec-{namespace}" if namespace else "kuberec"
    uid = name if len(name) <= UID_LENGTH else f"kuberec-{hashlib.sha256(name.encode()).hexdigest()[:24]}"
    return dashboard(name, uid, ROWS, namespace)
