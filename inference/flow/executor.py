"""Runs stages: measures their time, uses threads where that pays, and decides what a failure means.

Online (`strict=False`) a failing or late stage yields nothing, is counted and marked in `Trace.degraded`; the slate
continues without it. Offline (`strict=True`) the failure is raised: an evaluation on half of the sources measures
nothing. A stage that asks another process is not asked for a while after repeated failures, so that one hanging
dependency does not hold the threads that every request needs. Stages do not know about any of this.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from inference.candidates.batch import Trace

T = TypeVar("T")
SILENT_SECONDS = 10.0  # between two log lines of the same failure; the counter misses none
FAILURES = 5  # in a row, until a dependency is no longer asked
REST_SECONDS = 0.5  # between two requests that try a dependency which is no longer asked
log = logging.getLogger("kuberec")


class Observer(Protocol):
    """Counts what the stages do; the servers pass Prometheus metrics."""

    def stage(self, name: str, seconds: float) -> None:
        """A stage took this long."""

    def degraded(self, reason: str) -> None:
        """A stage failed open."""

    def filtered(self, name: str, num: int) -> None:
        """A filter removed this many candidates."""


class Resting(Exception):
    """A stage was not run: the last calls of its dependency all failed."""


class Breaker:
    """Decides whether to ask a dependency; shared by all requests.

    After `FAILURES` in a row it lets one request through every `REST_SECONDS`; the first success opens the way again.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._next = 0.0
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Raise while the dependency is not to be asked.

        Raises:
            Resting: It failed too often, and was tried a moment ago.
        """
        with self._lock:
            if self._failures < FAILURES:
                return
            now = time.monotonic()
            if now < self._next:
                raise Resting(f"not asked after {self._failures} failures in a row")
            self._next = now + REST_SECONDS

    def leave(self, succeeded: bool) -> None:
        """Note how an attempt ended."""
        with self._lock:
            self._failures = 0 if succeeded else self._failures + 1
            if self._failures == FAILURES:
                self._next = time.monotonic() + REST_SECONDS


class Executor:
    """Runs stages under one failure policy; shared by all requests and safe for threads.

    Args:
        strict: Raise a stage's failure instead of continuing without it.
        threads: Threads for stages that run side by side; 0 runs them one after the other, without timeouts.
        observer: Counts, None where nothing is counted.
    """

    def __init__(self, *, strict: bool = True, threads: int = 0, observer: Observer | None = None) -> None:
        self.strict = strict
        self.observer = observer
        self._silent_until: dict[str, float] = {}
        self._breakers: defaultdict[str, Breaker] = defaultdict(Breaker)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="stage") if threads else None

    def run(
        self, trace: Trace, name: str, stage: Callable[[], T], *, reason: str = "", timeout: float | None = None
    ) -> T | None:
        """The stage's result, or None where it failed open.

        Args:
            trace: The batch's record.
            name: Stage name for timing.
            stage: The work.
            reason: The mark if it fails; `name` where empty.
            timeout: Seconds it may take; only kept with threads.
        """
        return self.run_all(trace, {name: stage}, reasons={name: reason or name}, timeout=timeout)[name]

    def ask(
        self, trace: Trace, name: str, stage: Callable[[], T], *, reason: str = "", timeout: float | None = None
    ) -> T | None:
        """Like `run`, for a stage that asks another process, which is not asked while it keeps failing."""
        reason = reason or name
        breaker = self._breakers[name]
        try:
            if not self.strict:
                breaker.enter()
        except Resting as error:
            self.fail(trace, reason, error)
            return None
        result = self.run(trace, name, stage, reason=reason, timeout=timeout)
        breaker.leave(succeeded=result is not None)
        return result

    def run_all(
        self,
        trace: Trace,
        stages: Mapping[str, Callable[[], T]],
        *,
        reasons: Mapping[str, str] | None = None,
        timeout: float | None = None,
        parallel: bool = True,
    ) -> dict[str, T | None]:
        """All stages' results by name, in their order; None where one failed open. `timeout` is for all together."""
        if self._pool is None or timeout is None or not parallel:
            calls = {name: _direct(stage) for name, stage in stages.items()}
        else:
            futures = {name: self._pool.submit(_timed, stage) for name, stage in stages.items()}
            deadline = time.monotonic() + timeout
            calls = {name: _waiting(future, deadline) for name, future in futures.items()}
        results: dict[str, T | None] = {}
        for name, call in calls.items():
            start = time.perf_counter()
            try:
                results[name], seconds = call()
            except Exception as error:  # the failure policy: whatever fails in a stage is counted and marked
                seconds = time.perf_counter() - start
                if self.strict:
                    raise
                results[name] = None
                self.fail(trace, (reasons or {}).get(name, name), error)
            self.note(trace, name, seconds)
        return results

    def note(self, trace: Trace, name: str, seconds: float) -> None:
        """Add the time of a stage, which the caller measured, to the trace and the metrics."""
        trace.seconds[name] = trace.seconds.get(name, 0.0) + seconds
        if self.observer is not None:
            self.observer.stage(name, seconds)

    def fail(self, trace: Trace, reason: str, error: Exception) -> None:
        """Mark and count a failure that the request survives."""
        trace.mark(reason)
        if self.observer is not None:
            self.observer.degraded(reason)
        now = time.monotonic()
        if now >= self._silent_until.get(reason, 0.0):
            self._silent_until[reason] = now + SILENT_SECONDS
            log.warning("degraded %s: %s: %s", reason, type(error).__name__, str(error) or "too late")

    def close(self) -> None:
        """Let the threads go; stages still running are not waited for."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def _timed(stage: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = stage()
    return result, time.perf_counter() - start


def _direct(stage: Callable[[], T]) -> Callable[[], tuple[T, float]]:
    return lambda: _timed(stage)


def _waiting(future: Future[tuple[T, float]], deadline: float) -> Callable[[], tuple[T, float]]:
    def wait() -> tuple[T, float]:
        try:
            return future.result(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            future.cancel()
            raise

    return wait
