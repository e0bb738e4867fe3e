"""A client of the transformer's REST API, as a shop's servers would use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx

from feature_repo.errors import ShopClientError

TIMEOUT_SECONDS = 30.0
EVENTS_AT_ONCE = 500


class ShopClient:
    """Requests slates and reports events. Thread-safe; close it, or use it in a `with` block.

    Args:
        url: Base URL of the transformer, http://host:port.
    """

    def __init__(self, url: str) -> None:
        try:
            self._url = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ShopClientError(f"{url!r} is not an address ({error}): write http://host:port.") from error
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise ShopClientError(f"{url!r} is not a transformer's address: write http://host:port.")
        self._client = httpx.Client(base_url=self._url, timeout=TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def feed(self, moment: float, **asked: str | int | None) -> dict[str, Any]:
        """Requests one slate and returns the response body.

        Args:
            moment: Unix seconds of the request, for servers whose clock is `request`.
            asked: Query parameters; parameters with the value None are left out.

        Raises:
            ShopClientError: There was no response, or its status was not 200.
        """
        query = {name: value for name, value in asked.items() if value is not None}
        body: dict[str, Any] = self._call("GET", "/api/v1/recommendations", moment, 200, params=query)
        return body

    def report(self, moment: float, events: Sequence[Mapping[str, Any]]) -> int:
        """Posts events and returns how many were accepted.

        Args:
            moment: Unix seconds at which the events are reported.
            events: Events in the form of contract 3.

        Raises:
            ShopClientError: There was no response, or its status was not 202.
        """
        accepted = 0
        for start in range(0, len(events), EVENTS_AT_ONCE):
            some = events[start : start + EVENTS_AT_ONCE]
            accepted += int(self._call("POST", "/api/v1/events", moment, 202, json=some)["accepted"])
        return accepted

    def _call(self, method: str, path: str, moment: float, expected: int, **content: Any) -> Any:
        try:
            answer = self._client.request(method, path, headers={"Kuberec-Time": rfc3339(moment)}, **content)
        except httpx.TransportError as error:
            raise ShopClientError(f"{self._url} does not answer {method} {path}: {error}.") from error
        if answer.status_code != expected:
            raise ShopClientError(
                f"{self._url} answers {method} {path} with status {answer.status_code}: {answer.text[:500]}."
            )
        return answer.json()


def rfc3339(moment: float) -> str:
    """Unix seconds as RFC 3339 in UTC, to the microsecond."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
