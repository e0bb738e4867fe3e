"""Exactly one retraining at a time: a lease that its holder keeps alive, and that ends by itself when it is gone.

Owns who may retrain a dataset now. Where a Redis is configured the lease is a key there, so that machines agree; else
it is a file in the store, changed under flock. Refuses to take over what has not expired.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from feature_repo.errors import KuberecError, LeaseLost, LeaseTaken
from monitoring.state import StateFolder
from pipelines.retraining.lease.file import FileLease

RENEWALS = 4  # within one lease, so that three may fail


class LeasePlace(Protocol):
    """Where a lease is kept, in the name of one who wants it."""

    def acquire(self, seconds: float) -> str | None:
        """Take it if it is free or has expired; None if so, else who holds it and for how long yet."""

    def extend(self, seconds: float) -> bool:
        """Let it end so many seconds from now; False where it is not ours any more.

        Raises:
            KuberecError: It cannot be said now.
        """

    def release(self) -> None:
        """Give it back, if it is still ours."""


class Lease:
    """A lease that is held; a thread of its own keeps it alive.

    Args:
        place: Where it is kept.
        seconds: How long it lasts without a renewal.
    """

    def __init__(self, place: LeasePlace, seconds: float) -> None:
        self._place, self._seconds = place, seconds
        self._ends = time.monotonic() + seconds
        self._over = threading.Event()
        self.lost = False
        self._keeper = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._keeper.start()

    def require(self) -> None:
        """Renew it now: what is written next is written by the holder.

        Raises:
            LeaseLost: It is not ours any more.
            KuberecError: It cannot be said now.
        """
        if self.lost or not self._extended():
            raise LeaseLost(
                "the lease of the retraining was lost, and another process may have started one by now: what this one "
                "did was not entered into the ledger; run the job again"
            )

    def end(self) -> None:
        """Stop keeping it, and give it back."""
        self._over.set()
        self._keeper.join()
        if not self.lost:
            self._place.release()

    def _extended(self) -> bool:
        asked = time.monotonic()
        if not self._place.extend(self._seconds):
            return False
        self._ends = asked + self._seconds
        return True

    def _keep(self) -> None:
        while not self._over.wait(self._seconds / RENEWALS):
            try:
                kept = self._extended()
            except KuberecError:  # tried again until it would have ended
                kept = time.monotonic() < self._ends
            if not kept:
                self.lost = True
                # The training must not go on beside another one: end it like somebody who presses Ctrl-C.
                os.kill(os.getpid(), signal.SIGINT)
                return


@contextlib.contextmanager
def retraining_lease(state: StateFolder, dataset: str, redis: str, seconds: float) -> Iterator[Lease]:
    """Hold the lease of a dataset's retraining while the block runs.

    A lease that is lost meanwhile interrupts the main thread (SIGINT).

    Args:
        state: Holds the file where there is no Redis.
        dataset: Name of the dataset; names the key.
        redis: Address of a Redis, "" for a file.
        seconds: How long it lasts once nobody keeps it alive.

    Raises:
        LeaseTaken: Somebody holds it.
        LeaseLost: It was lost while the block ran.
        KuberecError: The store or Redis cannot be used.
    """
    token = f"process {os.getpid()} on {socket.gethostname()} ({uuid4().hex[:8]})"
    place = _place(state, dataset, redis, token)
    holder = place.acquire(seconds)
    if holder is not None:
        raise LeaseTaken(f"a retraining of {dataset} is under way: {holder}")
    lease = Lease(place, seconds)
    try:
        yield lease
    except BaseException:
        if lease.lost:
            lease.require()  # says so: whatever the work ended with, that is why
        raise
    finally:
        lease.end()


def _place(state: StateFolder, dataset: str, redis: str, token: str) -> LeasePlace:
    if not redis:
        return FileLease(Path(state.url), token)
    from pipelines.retraining.lease.redis import RedisLease  # only where there is one: it brings Feast along

    return RedisLease(redis, dataset, token)
