"""The generated Grafana dashboard of the service: https://grafana.com/docs/grafana/latest/dashboards/.

Its queries use the series that `monitoring.rules` records, so the rules must be loaded in the same Prometheus.
"""

from __future__ import annotations

from typing import Any

from monitoring.dashboards.drift import DRIFT
from monitoring.dashboards.grafana import dashboard
from monitoring.dashboards.model import Panel, Row, Series
from monitoring.dashboards.service import DATA, SERVICE

__all__ = ["ROWS", "Panel", "Row", "Series", "kuberec_dashboard"]

ROWS: tuple[Row, ...] = (SERVICE, DATA, DRIFT)


def kuberec_dashboard() -> dict[str, Any]:
    """The JSON model that Grafana imports."""
    return dashboard("kuberec", "kuberec", ROWS)
