"""The lease of a retraining: one holder, kept alive, taken over once it has ended, and known to be lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from feature_repo.errors import LeaseLost, LeaseTaken, StorageError
from feature_repo.storage.files import read_json, write_json
from monitoring.state import StateFolder
from pipelines.retraining.lease.file import FileLease
from pipelines.retraining.lease.lease import Lease, retraining_lease
from pipelines.retraining.lease.redis import RedisLease
from tests.kit.checkout import ROOT
from tests.kit.ports import free_port

HOLDER = """
import sys, time
from monitoring.state import StateFolder
from pipelines.retraining.lease.lease import retraining_lease
with retraining_lease(StateFolder(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])):
    print("held", flush=True)
    time.sleep(600)
"""


class Place:
    """Where the leases of one test are kept, seen from outside."""

    def __init__(self, store: Path, address: str) -> None:
        self.store, self.redis, self.dataset = str(store), address, f"shop-{uuid4().hex[:8]}"
        self.file = store / "monitoring" / "lease.json"
        self.client = redis.Redis.from_url(f"redis://{address}") if address else None
        self.key = f"kuberec:{self.dataset}:retraining"

    def lease(self, seconds: float) -> AbstractContextManager[Lease]:
        return retraining_lease(StateFolder(self.store), self.dataset, self.redis, seconds)

    def one(self, token: str) -> FileLease | RedisLease:
        if self.redis:
            return RedisLease(self.redis, self.dataset, token)
        return FileLease(self.file.parent, token)

    def until(self) -> float:
        """When the lease ends if nobody renews it, unix seconds; 0 where nobody holds it."""
        if self.client is not None:
            left = self.client.pttl(self.key)
            assert isinstance(left, int)
            return time.time() + left / 1000 if left > 0 else 0.0
        return float(read_json(self.file)["until"]) if self.file.exists() else 0.0

    def steal(self) -> None:
        """Another holder, as after a lease that had ended."""
        if self.client is not None:
            self.client.set(self.key, "somebody else", px=600_000)
        else:
            write_json(self.file, {"token": "somebody else", "until": time.time() + 600})


@pytest.fixture(params=["file", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    address = request.getfixturevalue("redis_server") if request.param == "redis" else ""
    made = Place(tmp_path / "store", address)
    yield made
    if made.client is not None:
        made.client.delete(made.key)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.02)


def test_one_holder_at_a_time(place: Place) -> None:
    with place.lease(60) as lease:
        lease.require()
        words = rf"A retraining of {place.dataset} is running already: process \d+ on .* holds the lease for \d+ s"
        with pytest.raises(LeaseTaken, match=words), place.lease(60):
            pass
    with place.lease(60):
        pass
    assert place.until() == 0


def test_of_many_at_once_one_gets_it(place: Place) -> None:
    together = threading.Barrier(8)

    def ask(number: int) -> str | None:
        one = place.one(f"process {number}")
        together.wait(timeout=30)
        return one.acquire(60)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))).count(None) == 1


def test_it_is_kept_alive(place: Place) -> None:
    with place.lease(4):
        first = place.until()
        wait_until(lambda: place.until() > first + 0.5)


def assert_taken_over_at(place: Place, ends: float) -> None:
    """Whoever asks for the lease gets it as soon as it has ended, and no sooner."""
    assert ends > 0
    taken = []

    def take() -> bool:
        try:
            with place.lease(60):
                taken.append(time.time())
        except LeaseTaken:
            return False
        return True

    wait_until(take)
    assert taken[0] > ends - 0.05


def test_a_holder_that_is_gone_does_not_block_for_ever(place: Place) -> None:
    assert place.one("somebody that nobody keeps alive").acquire(1) is None
    assert_taken_over_at(place, place.until())


def test_a_killed_holder_does_not_block_for_ever(tmp_path: Path) -> None:
    place = Place(tmp_path / "store", "")
    command = [sys.executable, "-c", HOLDER, place.store, place.dataset, place.redis, "2"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGKILL)
    assert_taken_over_at(place, place.until())


def test_a_lost_lease_interrupts_the_work(place: Place) -> None:
    def work() -> None:
        with place.lease(4):
            place.steal()
            time.sleep(60)

    began = time.monotonic()
    with pytest.raises(LeaseLost, match="another process may have started a retraining"):
        work()
    assert time.monotonic() - began < 50
    assert place.until() > time.time() + 300  # the other one's is left alone


def test_nothing_is_written_with_a_lost_lease(place: Place) -> None:
    with place.lease(600) as lease:
        place.steal()
        with pytest.raises(LeaseLost):
            lease.require()


def test_a_redis_that_is_away_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="check KUBEREC_REDIS"):
        Place(tmp_path, f"127.0.0.1:{free_port()}").one("me").acquire(1)


def test_a_damaged_lease_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "lease.json").write_text("{}")
    with pytest.raises(StorageError, match="is not a lease: remove it if no retraining runs"):
        FileLease(tmp_path, "me").acquire(1)
