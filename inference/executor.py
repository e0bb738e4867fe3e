"""How stages are run: timed, in threads where that pays, and what a failure means.

Online (`strict=False`) a failing or late stage yields nothing, is counted and marked in `Trace.degraded`; the slate
goes on without it. Offline (`strict=True`) the failure is raised: an evaluation on half the sources measures nothing.
Stages know none of this.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

T = TypeVar("T")
SILENT_SECONDS = 10.0  # between two log lines of the same failure; the counter misses none
log = logging.getLogger("kuberec")


class Observer(Protocol):
    """Who counts what the stages do; the servers pass Prometheus metrics."""

    def stage(self, name: str, seconds: float) -> None:
        """A stage took this long."""

    def degraded(self, reason: str) -> None:
        """A stage failed open."""

    def filtered(self, name: str, num: int) -> None:
        """A filter removed this many candidates."""


@dataclass(slots=True)
class Trace:
    """What happened to one batch: seconds of each stage, and what failed open, in order."""

    seconds: dict[str, float] = field(default_factory=dict)
    degraded: list[str] = field(default_factory=list)

    def mark(self, reason: str) -> None:
        """Note a failure once."""
        if reason not in self.degraded:
            self.degraded.append(reason)


class Executor:
    """Runs stages under one failure policy; shared by all requests and safe for threads.

    Args:
        strict: Raise a stage's failure instead of going on without it.
        threads: Threads for stages that run side by side; 0 runs them one after the other, without timeouts.
        observer: Who counts, if anyone.
    """

    def __init__(self, *, strict: bool = True, threads: int = 0, observer: Observer | None = None) -> None:
        self.strict = strict
        self.observer = observer
        self._silent_until: dict[str, float] = {}
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
            trace.seconds[name] = trace.seconds.get(name, 0.0) + seconds
            if self.observer is not None:
                self.observer.stage(name, seconds)
        return results

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
