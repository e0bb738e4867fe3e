"""A service that has no release yet."""

from __future__ import annotations

from typing import Any, cast

from inference.api.clock import Clock
from inference.server.service import Service
from tests.kit import served_log

EVENT = {"event_id": "e1", "user_id": "u1", "item_id": "i1", "event_type": "click"}


class NoRelease:
    """A server that has just started."""

    def current(self):
        return None


def service(clock: Clock, counted: served_log.Counted, writer=None) -> Service:
    return Service(cast(Any, NoRelease()), clock, counted.metrics, 1.0, writer)
