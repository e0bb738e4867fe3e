"""The executor: threads, failure policy, dependencies that keep failing."""

from __future__ import annotations

import threading
import time

import pytest

from feature_repo.errors import FeatureStoreError
from inference.candidates.batch import Trace
from inference.flow.executor import FAILURES, Executor


class Counter:
    def __init__(self):
        self.stages, self.marks, self.removed = [], [], []

    def stage(self, name, seconds):
        self.stages.append((name, seconds))

    def degraded(self, reason):
        self.marks.append(reason)

    def filtered(self, name, num):
        self.removed.append((name, num))


@pytest.mark.parametrize("threads", [0, 2])
def test_executor_fails_open_counts_and_times(threads):
    counter, trace = Counter(), Trace()
    executor = Executor(strict=False, threads=threads, observer=counter)

    def broken():
        raise ValueError("no")

    results = executor.run_all(trace, {"good": lambda: 1, "bad": broken}, reasons={"bad": "why"}, timeout=1.0)
    assert results == {"good": 1, "bad": None}
    assert executor.run(trace, "bad", broken, reason="why") is None
    assert trace.degraded == ["why"]
    assert counter.marks == ["why", "why"]
    assert [name for name, _ in counter.stages] == ["good", "bad", "bad"]
    assert set(trace.seconds) == {"good", "bad"}
    executor.close()


def test_executor_leaves_the_late_and_a_strict_one_raises():
    executor, trace = Executor(strict=False, threads=2), Trace()
    hold = threading.Event()
    start = time.perf_counter()
    results = executor.run_all(trace, {"late": hold.wait, "fine": lambda: 2}, timeout=0.05)
    assert time.perf_counter() - start < 1
    assert results == {"late": None, "fine": 2}
    hold.set()
    with pytest.raises(ZeroDivisionError):
        Executor(strict=True).run(Trace(), "stage", lambda: 1 // 0)


def test_executor_leaves_alone_what_keeps_failing_and_comes_back(monkeypatch):
    monkeypatch.setattr("inference.flow.executor.PROBE_SECONDS", 0.1)
    counter, asked, healed = Counter(), [], threading.Event()
    executor = Executor(strict=False, threads=2, observer=counter)

    def dependency():
        asked.append(1)
        if not healed.is_set():
            raise FeatureStoreError("away")
        return 1

    def ask() -> int | None:
        trace = Trace()
        result = executor.ask(trace, "users", dependency, reason="features", timeout=1.0)
        assert trace.degraded == ([] if result else ["features"])
        return result

    assert [ask() for _ in range(50)] == [None] * 50
    assert len(asked) == FAILURES
    assert counter.marks == ["features"] * 50  # every request counts, asked or not
    time.sleep(0.12)
    assert [ask() for _ in range(5)] == [None] * 5
    assert len(asked) == FAILURES + 1  # one tried
    healed.set()
    time.sleep(0.12)
    assert [ask() for _ in range(5)] == [1] * 5
    strict = Executor(strict=True)
    for _ in range(2 * FAILURES):
        with pytest.raises(ZeroDivisionError):
            strict.ask(Trace(), "users", lambda: 1 // 0)
    executor.close()
