"""A client of the transformer's REST routes, one kept connection a thread."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.parse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from feature_repo.errors import KuberecError

TIMEOUT_SECONDS = 30.0
EVENTS_AT_ONCE = 500


class ShopClientError(KuberecError):
    """The transformer is away or refuses what a shop asks; names the call."""


class ShopClient:
    """Asks for slates and reports events, as a shop's own servers would.

    Args:
        url: Base URL of the transformer, http://host:port.
    """

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ShopClientError(f"{url!r} is no address of a transformer: write http://host:port")
        self._host, self._port = parts.hostname, parts.port or 80
        self._local = threading.local()

    def feed(self, moment: float, **asked: str | int | None) -> dict[str, Any]:
        """One slate.

        Args:
            moment: Unix seconds of the request, for servers whose clock is `request`.
            asked: Query parameters; None leaves one out.

        Raises:
            ShopClientError: There was no answer, or another than 200.
        """
        query = urllib.parse.urlencode({name: value for name, value in asked.items() if value is not None})
        body: dict[str, Any] = self._call("GET", f"/api/v1/recommendations?{query}", moment, 200)
        return body

    def report(self, moment: float, events: Sequence[Mapping[str, Any]]) -> int:
        """Hands events over and returns how many were accepted.

        Args:
            moment: Unix seconds at which they are reported.
            events: As contract 3 has them.

        Raises:
            ShopClientError: There was no answer, or another than 202.
        """
        accepted = 0
        for start in range(0, len(events), EVENTS_AT_ONCE):
            some = json.dumps(events[start : start + EVENTS_AT_ONCE]).encode()
            accepted += int(self._call("POST", "/api/v1/events", moment, 202, some)["accepted"])
        return accepted

    def _call(self, method: str, path: str, moment: float, expected: int, content: bytes | None = None) -> Any:
        headers = {"Kuberec-Time": rfc3339(moment)}
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection = self._connection()
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._local.connection = None
            raise ShopClientError(f"{self._host}:{self._port} does not answer {method} {path}: {error}") from error
        if answer.status != expected:
            told = text[:500].decode(errors="replace")
            raise ShopClientError(f"{self._host}:{self._port} answers {method} {path} with {answer.status}: {told}")
        return json.loads(text)

    def _connection(self) -> http.client.HTTPConnection:
        """This thread's connection."""
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_SECONDS)
            self._local.connection = connection
        return connection


def rfc3339(moment: float) -> str:
    """Unix seconds as RFC 3339 in UTC, to the microsecond."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
