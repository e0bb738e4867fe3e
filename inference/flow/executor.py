"""Runs stages: measures their time, runs them in threads, and applies the failure policy.

Online (`strict=False`) a stage that fails or is late fails open: it is counted and marked in `Trace.degraded`, and the
slate continues without it. Offline (`strict=True`) the failure is raised, because an evaluation without some sources
has no meaning. After repeated failures a circuit breaker stops calls to another process for a while. So a hanging
dependency does not block the threads of all requests. Stages themselves contain no failure policy.
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
LOG_INTERVAL_SECONDS = 10.0  # between two log lines of the same failure; the metric counts every failure
FAILURES = 5  # consecutive failures that open the breaker
PROBE_SECONDS = 0.5  # between two calls that test whether the dependency has recovered
log = logging.getLogger("kuberec")


class Observer(Protocol):
    """Receives the events of the stages; the servers pass Prometheus metrics."""

    def stage(self, name: str, seconds: float) -> None:
        """A stage took this long."""

    def degraded(self, reason: str) -> None:
        """A stage failed open."""

    def filtered(self, name: str, num: int) -> None:
        """A filter removed this many candidates."""


class Resting(Exception):
    """The breaker is open: a stage was not run because the last calls of its dependency all failed."""


class Breaker:
    """The circuit breaker of a dependency; shared by all requests.

    After `FAILURES` consecutive failures it lets one call through every `PROBE_SECONDS`; the first success closes it.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._next = 0.0
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Raises if the dependency must not be called now.

        Raises:
            Resting: The breaker is open, and the last probe was less than `PROBE_SECONDS` ago.
        """
        with self._lock:
            if self._failures < FAILURES:
                return
            now = time.monotonic()
            if now < self._next:
                raise Resting(f"not called after {self._failures} failures in a row")
            self._next = now + PROBE_SECONDS

    def leave(self, succeeded: bool) -> None:
        """Records the result of a call."""
        with self._lock:
            self._failures = 0 if succeeded else self._failures + 1
            if self._failures == FAILURES:
                self._next = time.monotonic() + PROBE_SECONDS


class Executor:
    """Runs stages under one failure policy; shared by all requests and safe for threads.

    Args:
        strict: Raise a stage's failure instead of continuing without it.
        threads: Number of threads for parallel stages; 0 runs stages one after the other, without timeouts.
        observer: Receives times and failures; None if they are not counted.
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
        """Runs a stage and returns its result, or None if it failed open.

        Args:
            trace: The trace of the batch.
            name: Name of the stage in timings.
            stage: The function to run.
            reason: The mark in `degraded` if the stage fails; `name` if empty.
            timeout: Time limit in seconds; applies only with threads.
        """
        return self.run_all(trace, {name: stage}, reasons={name: reason or name}, timeout=timeout)[name]

    def ask(
        self, trace: Trace, name: str, stage: Callable[[], T], *, reason: str = "", timeout: float | None = None
    ) -> T | None:
        """Runs a stage that calls another process; the breaker skips the call while the process keeps failing."""
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
        """Runs stages in parallel under one timeout and returns results by name; None if a stage failed open."""
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
            except Exception as error:  # failure policy: any exception of a stage is counted and marked
                seconds = time.perf_counter() - start
                if self.strict:
                    raise
                results[name] = None
                self.fail(trace, (reasons or {}).get(name, name), error)
            self.note(trace, name, seconds)
        return results

    def attempt(self, trace: Trace, reason: str, work: Callable[[], T], otherwise: T) -> T:
        """Does a small part of the work without timing it; `otherwise` if it fails open."""
        try:
            return work()
        except Exception as error:  # failure policy: any exception of a stage is counted and marked
            if self.strict:
                raise
            self.fail(trace, reason, error)
            return otherwise

    def note(self, trace: Trace, name: str, seconds: float) -> None:
        """Adds a stage time that the caller measured to the trace and the metrics."""
        trace.seconds[name] = trace.seconds.get(name, 0.0) + seconds
        if self.observer is not None:
            self.observer.stage(name, seconds)

    def fail(self, trace: Trace, reason: str, error: Exception) -> None:
        """Marks and counts a failure that the request survives."""
        trace.mark(reason)
        if self.observer is not None:
            self.observer.degraded(reason)
        now = time.monotonic()
        if now >= self._silent_until.get(reason, 0.0):
            self._silent_until[reason] = now + LOG_INTERVAL_SECONDS
            log.warning("degraded %s: %s: %s", reason, type(error).__name__, str(error) or "too late")

    def close(self) -> None:
        """Shuts the threads down without waiting for running stages."""
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
