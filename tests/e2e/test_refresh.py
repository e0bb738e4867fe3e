"""`make refresh` beside a running server: a new price, an empty shelf and a new person, without a restart."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from components.features.refresh import refresh_features
from feature_repo.storage.files import read_json
from inference.bundles.store import BundleStore
from inference.feature_store import StoreSettings
from tests.e2e.main_job import validation_python
from tests.kit import released_shop, servers
from tests.kit.checkout import ROOT
from tests.kit.log_parts import event, slate, write_part
from tests.kit.ports import free_port

LATER = released_shop.END + timedelta(hours=2)


@dataclass
class Transformer:
    """A transformer over the released dataset; there is no predictor, and need not be."""

    url: str
    process: servers.Process

    def feed(self, user: str) -> dict[str, dict[str, Any]]:
        """Items of a feed by id."""
        answer = httpx.get(f"{self.url}/api/v1/recommendations", params={"user_id": user, "count": 20}, timeout=20)
        assert answer.status_code == 200, answer.text
        return {item["item_id"]: item for item in answer.json()["items"]}

    def age(self, view: str) -> float:
        """What the metric of feature ages says."""
        metrics = httpx.get(f"{self.url}/metrics", timeout=20).text
        found = re.search(rf'recs_feature_age_seconds{{view="{view}"}} ([0-9.e+]+)', metrics)
        assert found is not None
        return float(found[1])


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return tmp_path / "dataset"


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    return BundleStore(str(tmp_path / "build" / "store" / "shop"))


@pytest.fixture
def running(
    tmp_path: Path, dataset: Path, store: BundleStore, redis_server: str
) -> Iterator[tuple[Transformer, Transformer]]:
    """Transformers that read SQLite and Redis, both filled."""
    released_shop.write_dataset(dataset)
    addresses = ("", redis_server)
    released_shop.release(dataset, tmp_path / "release", store, *(online(store, address) for address in addresses))
    made = [_transformer(tmp_path, store, address) for address in addresses]
    try:
        for one in made:  # one by one: a start is ten seconds of imports
            one.process.start()
            servers.wait_ready(one.url, one.process)
        yield made[0], made[1]
    finally:
        for one in made:
            one.process.end()


def online(store: BundleStore, redis: str) -> StoreSettings:
    return StoreSettings(Path(store.url) / "online", "shop", redis=redis)


def _transformer(path: Path, store: BundleStore, redis: str) -> Transformer:
    port = free_port()
    environment = {
        "KUBEREC_STORE": store.url,
        "KUBEREC_HOST": "127.0.0.1",
        "KUBEREC_HTTP_PORT": str(port),
        "KUBEREC_PREDICTOR": f"127.0.0.1:{free_port()}",
        "KUBEREC_CLOCK": "log",
        "KUBEREC_REDIS": redis,
        "KUBEREC_ITEMS_SECONDS": "0.3",
        "KUBEREC_DEADLINE_SECONDS": "8",
        "KUBEREC_USERS_SECONDS": "4",
        "KUBEREC_SOURCES_SECONDS": "4",
    }
    log = path / f"transformer-{'redis' if redis else 'sqlite'}.log"
    return Transformer(f"http://127.0.0.1:{port}", servers.Process("transformer", environment, log))


def test_running_servers_show_what_was_refreshed(
    tmp_path: Path, dataset: Path, store: BundleStore, running: tuple[Transformer, Transformer], redis_server: str
) -> None:
    for one in running:
        before = one.feed("new")
        assert {item["source"] for item in before.values()} == {"popular"}  # a stranger
        assert before["i1"]["price"] != 77.5
        assert "i3" in before
    _go_on(dataset, tmp_path / "build" / "log" / "shop")
    started = time.time()

    # SQLite by the command, Redis by what its step calls.
    _refresh_and_read_the_report(tmp_path, dataset, store)
    tables = released_shop.clean_tables(dataset, tmp_path / "now", tmp_path / "build" / "log" / "shop")
    refresh_features(tables, store, lambda _facts: online(store, redis_server))

    for one in running:
        servers.wait_for(lambda one=one: one.feed("new")["i1"]["price"] == 77.5, "the new price is not shown")
        after = one.feed("new")
        assert "i3" not in after
        assert {item["source"] for item in after.values()} != {"popular"}
        for view in ("item_stats", "user_stats", "user_history"):
            assert one.age(view) < time.time() - started  # not that of the release
        assert one.process.process is not None
        assert one.process.process.poll() is None


def _go_on(dataset: Path, log: Path) -> None:
    """Somebody comes and clicks, and the shop changes a price and empties a shelf."""
    write_part(log, "impressions", "a", slate("s1", "new", ["i1", "i2"], LATER))
    clicks = [
        event(f"n{place}", "new", f"i{place}", "click", LATER + timedelta(minutes=place), request_id="s1")
        for place in (1, 2, 4)
    ]
    write_part(log, "interactions", "a", clicks)
    changes: dict[str, dict[str, Any]] = {"i1": {"price": 77.5}, "i3": {"in_stock": False}}
    items = pq.read_table(dataset / "items.parquet").to_pylist()
    released_shop.write_table(dataset, "items", [{**row, **changes.get(row["item_id"], {})} for row in items])


def _refresh_and_read_the_report(path: Path, dataset: Path, store: BundleStore) -> None:
    settings = {
        "KUBEREC_BUILD": str(path / "build"),
        "KUBEREC_REDIS": "",
        "KUBEREC_VALIDATION_PYTHON": validation_python(),
    }
    command = [sys.executable, "-m", "pipelines.refresh", "--dataset", str(dataset)]
    environment = {**os.environ, **settings}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    told = rf"Refreshed 16 users and 17 items of {store.current()} as of 2026-04-15 02:04:00 UTC \(\d+ s\); .*"
    assert re.fullmatch(told, done.stdout.splitlines()[-1])
    out = path / "build" / "refresh"
    assert read_json(out / "refresh.json")["num_users"] == 16
    assert sorted(entry.name for entry in out.iterdir()) == ["pipeline.log", "quality.html", "refresh.json"]
    assert not (path / "build" / "pipeline").exists()  # a refresh every few minutes leaves nothing behind
