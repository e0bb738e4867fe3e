"""Histories of every alert for promtool, a value a minute: some in which it fires, some in which it stays silent."""

from __future__ import annotations

from tests.monitoring.alert_cases.case import Case
from tests.monitoring.alert_cases.data import DATA
from tests.monitoring.alert_cases.drift import DRIFT
from tests.monitoring.alert_cases.redis import REDIS
from tests.monitoring.alert_cases.serving import SERVING

__all__ = ["CASES", "Case"]

CASES: tuple[Case, ...] = (*SERVING, *DATA, *REDIS, *DRIFT)
