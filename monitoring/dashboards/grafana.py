"""The JSON model of a dashboard, for import into Grafana 10 and later.

Field names and values are those of Grafana's dashboard schema: https://grafana.com/docs/grafana/latest/dashboards/
build-dashboards/view-dashboard-json-model/. Panels are laid out automatically, from left to right, and wrap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from monitoring.dashboards.model import Panel, Row, Series
from monitoring.rules.scope import scoped

SCHEMA_VERSION = 38  # of Grafana 10.0; later versions convert it when they load it
COLUMNS, HEIGHT = 24, 8
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_COLORS = ("yellow", "red")
_CHOSEN = "namespace=~'$namespace'"  # also series without the label, if all are chosen


def dashboard(title: str, uid: str, rows: Sequence[Row], namespace: str = "") -> dict[str, Any]:
    """The JSON model of a dashboard.

    Args:
        title: Name of the dashboard.
        uid: Id of the dashboard in URLs; a later import with the same id replaces it.
        rows: From top to bottom.
        namespace: The namespace that is shown first; "" for all.
    """
    return {
        "uid": uid,
        "title": title,
        "tags": ["kuberec"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "templating": {
            "list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
                _namespaces(namespace),
            ]
        },
        "annotations": {"list": []},
        "panels": list(_placed(rows)),
    }


def _namespaces(first: str) -> dict[str, Any]:
    """The choice of a namespace; outside of a cluster there is only "All"."""
    query = "label_values(recs_bundle_info, namespace)"
    return {
        "name": "namespace",
        "label": "Namespace",
        "type": "query",
        "datasource": _DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": "namespace"},
        "refresh": 2,  # whenever the time range changes
        "sort": 1,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": first, "value": first} if first else {"text": "All", "value": "$__all"},
    }


def _placed(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Headings and panels with their ids and grid positions."""
    top, number = 0, 0
    for row in rows:
        number += 1
        place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
        top, left = top + 1, 0
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                top, left = top + HEIGHT, 0
            number += 1
            yield _panel(panel) | {"id": number, "gridPos": {"x": left, "y": top, "w": panel.width, "h": HEIGHT}}
            left += panel.width
        top += HEIGHT


def _panel(panel: Panel) -> dict[str, Any]:
    lines = panel.kind == "timeseries"
    custom = {"lineWidth": 1, "fillOpacity": 10, "thresholdsStyle": {"mode": "line" if panel.limits else "off"}}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "targets": [_target(series, place, instant=not lines) for place, series in enumerate(panel.series)],
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "color": {"mode": "palette-classic" if lines else "thresholds"},
                "thresholds": {"mode": "absolute", "steps": _steps(panel.limits)},
                **({"custom": custom} if lines else {}),
            },
            "overrides": [],
        },
        "options": _options(panel),
    }


def _target(series: Series, place: int, *, instant: bool) -> dict[str, Any]:
    return {
        "refId": chr(ord("A") + place),
        "datasource": _DATASOURCE,
        "editorMode": "code",
        "expr": scoped(series.expression, _CHOSEN),
        "legendFormat": series.legend,
        "instant": instant,
        "range": not instant,
    }


def _steps(limits: Sequence[float]) -> list[dict[str, Any]]:
    """Green below the first limit, then the colours of the limits, the last one red."""
    colors = _COLORS[len(_COLORS) - len(limits) :]
    steps = [{"color": color, "value": limit} for color, limit in zip(colors, limits, strict=True)]
    return [{"color": "green", "value": None}, *steps]


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
        return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    latest = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == "bargauge":
        return {"orientation": "horizontal", "displayMode": "basic", "reduceOptions": latest, "valueMode": "color"}
    return {
        "orientation": "auto",
        "textMode": "auto",
        "colorMode": "value",
        "graphMode": "none",
        "reduceOptions": latest,
    }
