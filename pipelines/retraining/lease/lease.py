"""The lease that allows one retraining of a dataset at a time; the holder renews it, and it expires after a crash.

With a configured Redis the lease is a key there, for jobs on several machines. Otherwise it is a file in the store,
changed under flock. A lease is only taken over after it has expired.
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

RENEWALS = 4  # per lease duration; up to three may fail


class LeasePlace(Protocol):
    """The storage of a lease, for one process."""

    def acquire(self, seconds: float) -> str | None:
        """Takes the lease if it is free or has expired.

        Returns:
            None if the lease was taken; otherwise the holder and the remaining time in words, without a full stop.
        """

    def extend(self, seconds: float) -> bool:
        """Sets the expiry to this many seconds from now; returns False if this process no longer holds the lease.

        Raises:
            KuberecError: The storage cannot be reached now.
        """

    def release(self) -> None:
        """Releases the lease if this process still holds it."""


class Lease:
    """A lease that this process holds; a thread renews it.

    Args:
        place: Storage of the lease.
        seconds: Time until the lease expires without a renewal.
    """

    def __init__(self, place: LeasePlace, seconds: float) -> None:
        self._place, self._seconds = place, seconds
        self._ends = time.monotonic() + seconds
        self._over = threading.Event()
        self.lost = False
        self._keeper = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._keeper.start()

    def require(self) -> None:
        """Renews the lease now, so that only the holder writes what follows.

        Raises:
            LeaseLost: This process no longer holds the lease.
            KuberecError: The storage cannot be reached now.
        """
        if self.lost or not self._extended():
            raise LeaseLost(
                "The lease of the retraining was lost, and another process may have started a retraining: the ledger "
                "has no outcome of this process, so run the job again."
            )

    def end(self) -> None:
        """Stops the renewals and releases the lease."""
        self._over.set()
        self._keeper.join()
        if not self.lost:
            self._place.release()

    def _extended(self) -> bool:
        requested = time.monotonic()
        if not self._place.extend(self._seconds):
            return False
        self._ends = requested + self._seconds
        return True

    def _keep(self) -> None:
        while not self._over.wait(self._seconds / RENEWALS):
            try:
                kept = self._extended()
            except KuberecError:  # retried until the lease would have expired
                kept = time.monotonic() < self._ends
            if not kept:
                self.lost = True
                # End this training as Ctrl-C does, because another process may start one.
                os.kill(os.getpid(), signal.SIGINT)
                return


@contextlib.contextmanager
def retraining_lease(state: StateFolder, dataset: str, redis: str, seconds: float) -> Iterator[Lease]:
    """Holds the lease of a dataset's retraining while the block runs.

    If the lease is lost, SIGINT interrupts the main thread.

    Args:
        state: Folder of the lease file if there is no Redis.
        dataset: Name of the dataset; part of the key in Redis.
        redis: Address of a Redis, "" for a file.
        seconds: Time until the lease expires without a renewal.

    Raises:
        LeaseTaken: Another process holds the lease.
        LeaseLost: The lease was lost while the block ran.
        KuberecError: The store or Redis cannot be used.
    """
    token = f"process {os.getpid()} on {socket.gethostname()} ({uuid4().hex[:8]})"
    place = _place(state, dataset, redis, token)
    holder = place.acquire(seconds)
    if holder is not None:
        raise LeaseTaken(f"A retraining of {dataset} is running already: {holder}.")
    lease = Lease(place, seconds)
    try:
        yield lease
    except BaseException:
        if lease.lost:
            lease.require()  # raises LeaseLost, the cause of any error of the block
        raise
    finally:
        lease.end()


def _place(state: StateFolder, dataset: str, redis: str, token: str) -> LeasePlace:
    if not redis:
        return FileLease(Path(state.url), token)
    from pipelines.retraining.lease.redis import RedisLease  # imports Feast, which a file lease does not need

    return RedisLease(redis, dataset, token)
