"""The loop end to end, with real parts: people come, the world moves, drift is told, one retraining answers it.

The simulated world is trained on and served by both servers. Its users ask through REST, what they do is posted back;
then prices double, a shelf sells out and everybody takes to the phone. One test tells the story in order.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.marketplace.config import LOG_START, MarketplaceConfig, config_for
from components.marketplace.dataset.directory import make_dataset
from components.marketplace.traffic.client import ShopClient
from components.marketplace.traffic.replay import ReplayedDay, TrafficReplay, resumed_world, write_items
from components.marketplace.world.world import World
from feature_repo.dataset.split import DAY
from inference.bundles.store import BundleStore
from pipelines.local.servers import serve
from tests.e2e import main_job
from tests.kit.checkout import ROOT
from tests.kit.servers import wait_for

pytestmark = pytest.mark.timeout(1800)  # two trainings on two cores that others may use too

WORLD = config_for(
    "tiny",
    num_users=2_000,
    num_items=900,
    num_days=16,
    num_impressions=230_000,
    maximum_daily_events=200,
    bot_events=230,
    split_days=(3, 4),
)
SHIFT = {
    "price_factor": 2.0,
    "mobile_share": 0.97,
    "sold_out": ("Ceramics", "Knitwear", "Skin Care", "Headphones"),
    "category_boost": {"Tea": 2.0},
}
SHIFTED = {"item_log_price", "price_z_to_user", "item_category", "request_device"}
# Before anything was served so small a world may be refused. Users of a short log had half as many sessions a week ago,
# so the first reference is the last days.
FIRST = ("gate=warn", "reference_days=4")
PARAMETERS = ("reference_days=1",)  # the new reference is the first day of the world as it is then
ENOUGH = 1_000  # requests of a day
PAUSE_SECONDS = 0.5  # of a client that never stops


@dataclass
class Shop:
    """The dataset, its servers, and the commands that people run on them."""

    dataset: Path
    build: Path
    url: str = ""

    @property
    def store(self) -> BundleStore:
        return BundleStore(str(self.build / "store" / WORLD.name))

    @property
    def log(self) -> Path:
        return self.build / "log" / WORLD.name

    def start(self, module: str, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", module, "--dataset", str(self.dataset), *options],
            env={**os.environ, **self.environment},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, module: str, *options: str) -> str:
        process = self.start(module, *options)
        output, _ = process.communicate(timeout=900)
        assert process.returncode == 0, output
        return output

    @property
    def environment(self) -> dict[str, str]:
        return {
            "KUBEREC_BUILD": str(self.build),
            "KUBEREC_VALIDATION_PYTHON": main_job.validation_python(),
            "KUBEREC_COOLDOWN_SECONDS": "0",
        }

    def replay(self, config: MarketplaceConfig, day: int) -> ReplayedDay:
        tables = [self.dataset / "interactions.parquet", self.log / "interactions"]
        with ShopClient(self.url) as client:
            done = TrafficReplay(resumed_world(config, tables, LOG_START + day * DAY), client).day(day)
        assert done.num_requests >= ENOUGH
        assert done.num_degraded == 0
        time.sleep(2 * FLUSH_SECONDS)
        return done

    def drift(self) -> dict[str, Any]:
        return json.loads((self.build / "drift" / "drift.json").read_text())

    def report_of(self, bundle: str) -> dict[str, Any]:
        """The last report of a bundle that was answered with a retraining."""
        reports = [json.loads(path.read_text()) for path in (self.build / "drift" / "history").rglob("drift.json")]
        (found,) = [one for one in reports if one["bundle_version"] == bundle and (one["answer"] or {}).get("retrain")]
        return found

    def prices_shown(self) -> dict[str, float]:
        """Prices in the feed of somebody unknown, by item."""
        with ShopClient(self.url) as client:
            feed = client.feed(LOG_START + WORLD.num_days * DAY, user_id="a-window-shopper", count=50)
        return {item["item_id"]: item["price"] for item in feed["items"]}

    def doubled(self, before: dict[str, float]) -> bool:
        now = self.prices_shown()
        both = now.keys() & before.keys()
        return len(both) > 20 and all(now[item] == pytest.approx(2 * before[item], rel=0.01) for item in both)


FLUSH_SECONDS = 1.0
SERVING = {
    "KUBEREC_CLOCK": "request",
    "KUBEREC_LOG_FLUSH_SECONDS": str(FLUSH_SECONDS),
    "KUBEREC_ITEMS_SECONDS": "1",
    "KUBEREC_POLL_SECONDS": "0.5",
    # Two cores for a training and two servers: what is late here is late by scheduling.
    "KUBEREC_DEADLINE_SECONDS": "5",
    "KUBEREC_USERS_SECONDS": "2",
    "KUBEREC_SOURCES_SECONDS": "2",
    "KUBEREC_RANKER_SECONDS": "2",
}


@dataclass
class Visitor:
    """A client that never stops; it fails where a single answer does."""

    client: ShopClient
    moment: float
    answers: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        while not self.stopped.wait(PAUSE_SECONDS):
            try:
                self.answers.append(self.client.feed(self.moment, user_id="somebody-passing-by"))
            except Exception as error:  # noqa: BLE001 - told by the test
                self.failures.append(str(error))


@contextmanager
def visiting(url: str, moment: float) -> Iterator[Visitor]:
    with ShopClient(url) as client:
        visitor = Visitor(client, moment)
        thread = threading.Thread(target=visitor.ask)
        thread.start()
        try:
            yield visitor
        finally:
            visitor.stopped.set()
            thread.join()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A released bundle of the world."""
    directory = tmp_path_factory.mktemp("loop")
    made = Shop(directory / "world", directory / "build")
    make_dataset(WORLD, made.dataset)
    made.run("pipelines.run", *FIRST)
    return made


def test_the_loop_closes(shop: Shop) -> None:
    first, day = shop.store.current(), WORLD.num_days
    assert first is not None
    (shop.build / "serve").mkdir()
    with serve(shop.store.url, shop.build / "serve", settings={**SERVING, "KUBEREC_LOG": str(shop.log)}) as servers:
        shop.url = servers.url

        # An ordinary day. The first release is clicked more than the policy of the log, so histories are fresher.
        assert shop.replay(WORLD, day).versions == (first,)
        assert "Not retrained: " in shop.run("pipelines.drift", *PARAMETERS)
        ordinary = shop.drift()
        assert ordinary["verdict"] in ("none", "moderate"), told(ordinary)
        assert (ordinary["bundle_version"], ordinary["answer"]["retrain"]) == (first, False)

        # The world moves: prices and stock are known to the servers once the features are refreshed.
        shifted = MarketplaceConfig.model_validate({**WORLD.model_dump(), "shift": {"from_day": day + 1, **SHIFT}})
        write_items(World(shifted), shop.dataset, day + 1)
        before = shop.prices_shown()
        shop.run("pipelines.refresh")
        wait_for(lambda: shop.doubled(before), "the doubled prices are not shown", seconds=60)
        assert shop.replay(shifted, day + 1).versions == (first,)

        # Two jobs notice at once; one retraining answers, and people go on asking all the while.
        with visiting(servers.url, LOG_START + (day + 2) * DAY) as visitor:
            jobs = [shop.start("pipelines.drift", *PARAMETERS) for _ in range(2)]
            outputs = [job.communicate(timeout=900)[0] for job in jobs]
            assert [job.returncode for job in jobs] == [0, 0], outputs
            second = shop.store.current()
            assert second is not None
            wait_for(lambda: visitor.answers[-1]["bundle_version"] == second, "the new bundle is not served", 60)
        assert visitor.failures == []
        assert {answer["bundle_version"] for answer in visitor.answers} == {first, second}
        assert all(len(answer["items"]) == 20 for answer in visitor.answers)
        assert sorted("\nRetrained: " in output for output in outputs) == [False, True], outputs
        assert shop.store.versions() == [first, second]
        facts = shop.store.manifest(second).facts
        report = shop.report_of(first)
        assert report["verdict"] == "significant", told(report)
        significant = [
            found["name"] for found in report["features"] if found["severity"] == "significant" and found["alarms"]
        ]
        assert set(significant[: len(SHIFTED)]) == SHIFTED, told(report)
        assert all(name in facts.cause for name in significant[:3])

        # What had shifted is what the new bundle knows.
        shop.run("pipelines.refresh")
        assert shop.replay(shifted, day + 2).versions == (second,)
        shop.run("pipelines.drift", "--no-retrain")
        settled = shop.drift()
        assert settled["bundle_version"] == second
        figures = {found["name"]: found["psi"] for found in settled["features"]}
        assert all(figures[name] < 0.1 for name in SHIFTED), told(settled)


def told(report: dict[str, Any]) -> str:
    """A report in short, for a test that fails."""
    worst = [(found["name"], found["psi"], found["severity"], found["alarms"]) for found in report["features"][:12]]
    return f"{report['sentence']} {worst}"
