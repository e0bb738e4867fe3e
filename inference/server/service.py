"""Answers validated requests and accepts events, independent of the web framework."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from feature_repo.errors import RequestError
from inference.api.clock import HEADER, Clock
from inference.api.events import Event, checked
from inference.api.requests import RecommendationRequest
from inference.api.responses import body
from inference.candidates.query import Slate
from inference.candidates.timeouts import PARALLEL_UP_TO
from inference.feature_store.store_state import MARK
from inference.log.writer import LogWriter
from inference.metrics import Metrics
from inference.server.live_writer import LiveWriter
from inference.server.releases import Release, Releases

REQUEST_ID_HEADER = "x-request-id"
MAX_REQUEST_ID = 128


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered request.

    Attributes:
        slate: The slate with rows, scores and stage times.
        body: The JSON body for the client.
        seconds: Time from the call to the bodies, for all requests of the call together.
    """

    slate: Slate
    body: dict[str, Any]
    seconds: float


class Service:
    """Answers validated requests from the current release. Its methods block, so they run in worker threads.

    Args:
        releases: Returns the current release.
        clock: Returns the time of requests.
        metrics: Counts requests and events.
        deadline_seconds: Time limit for up to `PARALLEL_UP_TO` slates; in proportion above.
        log: Receives events; None if the server writes no log.
        live: Receives accepted events; None if the server keeps no live record.
    """

    def __init__(
        self,
        releases: Releases,
        clock: Clock,
        metrics: Metrics,
        deadline_seconds: float,
        log: LogWriter | None = None,
        live: LiveWriter | None = None,
    ) -> None:
        self._releases = releases
        self._clock = clock
        self._metrics = metrics
        self._deadline_seconds = deadline_seconds
        self._log = log
        self._live = live

    @property
    def ready(self) -> bool:
        """Whether a release is loaded."""
        return self._releases.current() is not None

    def answer(
        self, asked: Sequence[RecommendationRequest], headers: Mapping[str, str], *, shown: bool = True
    ) -> list[Answer]:
        """Answers requests in their order; all get the same query time.

        Args:
            asked: Validated requests.
            headers: HTTP headers, lower-case names.
            shown: Whether users see the slates; only these are logged.

        Raises:
            RequestError: If a cursor or the time is invalid, or no release is loaded yet (503).
        """
        start = time.monotonic()
        release = self._current()
        moment = self._clock.now(release.bundle.manifest.facts.log_end, headers.get(HEADER))
        ids = request_ids(sent_id(headers), len(asked))
        earlier = [one.shown() for one in asked]
        queries = [one.query(moment, request_id) for one, request_id in zip(asked, ids, strict=True)]
        deadline = start + self._deadline_seconds * max(1.0, len(queries) / PARALLEL_UP_TO)
        slates = release.recommender.recommend(queries, deadline)
        if release.store.fault:
            self._metrics.degraded(MARK)
            slates = [replace(slate, degraded=(*slate.degraded, MARK)) for slate in slates]
        bodies = [body(slate, release.artifacts, seen) for slate, seen in zip(slates, earlier, strict=True)]
        if shown:
            release.recommender.record(slates)
        seconds = time.monotonic() - start
        for slate in slates:
            self._metrics.request(slate.query.surface, 200, seconds)
            if len(slate.rows) == 0:
                self._metrics.empty(slate.query.surface)
        return [Answer(slate, one, seconds) for slate, one in zip(slates, bodies, strict=True)]

    def accept(
        self, content: Mapping[str, Any] | Sequence[Any], headers: Mapping[str, str]
    ) -> tuple[list[Event], Future[None]]:
        """Accepts posted events.

        Args:
            content: Parsed JSON, an event or a list of them.
            headers: HTTP headers, lower-case names.

        Returns:
            The events, and a future. The future completes once the events are on the disk, or raises a
            StorageError.

        Raises:
            ValidationError: A field is invalid.
            RequestError: The server writes no log (501), the time is invalid, or no release is loaded to take the time
                from (503).
        """
        if self._log is None:
            raise RequestError(
                "This server writes no log and accepts no events, because KUBEREC_LOG is not set; set it and restart.",
                status=501,
            )
        log_end = self._current().bundle.manifest.facts.log_end if self._clock.kind == "log" else 0.0
        moment = self._clock.now(log_end, headers.get(HEADER))
        try:
            events = checked(content, moment, self._clock.kind)
        except (ValidationError, RequestError):
            self._metrics.events("refused", 1 if isinstance(content, Mapping) else len(content))
            raise
        return events, self._log.accept(events)

    def remember(self, events: Sequence[Event]) -> None:
        """Makes accepted events known to the next requests of their users; a failure is only counted."""
        release = self._releases.current()
        if self._live is not None and release is not None:
            self._live.write(release.bundle, events)

    def _current(self) -> Release:
        release = self._releases.current()
        if release is None:
            raise RequestError("No bundle is loaded yet; ask again in a moment.", status=503)
        return release


def sent_id(headers: Mapping[str, str]) -> str:
    """Returns the request id from the headers, "" if it is missing or invalid."""
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if given.isascii() and given.isprintable() and len(given) <= MAX_REQUEST_ID else ""


def request_ids(given: str, num: int) -> list[str]:
    """Returns an id for each slate [num]; each begins with the id that the client sent.

    All ids are distinct. Applications and service meshes send the same id with every call of one page, but a click
    belongs to one slate.
    """
    own = uuid4().hex
    first = f"{given}-{own[:12]}" if given else own
    return [first] if num == 1 else [f"{first}-{place}" for place in range(num)]
