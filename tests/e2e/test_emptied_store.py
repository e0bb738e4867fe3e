"""Redis comes back empty under eight clients: marked answers, the same prices and policies, an alert, and recovery."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import redis

from inference.feature_store import StoreSettings, materialize
from tests.kit import servers, world
from tests.kit.bundle_factory import make_bundle
from tests.kit.crowd import Crowd
from tests.kit.ports import free_port
from tests.monitoring.prometheus import prometheus

ITEMS_SECONDS = 1.0
ITEMS = world.items()
COUNTRY = "SE"  # some items of the world are for DE and FR alone


@dataclass
class Watchers(Crowd):
    """Clients that check every item of every answer.

    Attributes:
        answers: Time of the question and marks of each answer.
    """

    answers: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)

    def marks_since(self, begun: float) -> set[tuple[str, ...]]:
        """Marks of all answers to questions since a time."""
        return {marks for at, marks in self.answers if at >= begun}

    def ask(self, number: int, client: httpx.Client) -> None:
        """Asks for the feed of a user, another one each time."""
        at, user = time.monotonic(), f"u{(number * 7 + len(self.answers)) % world.NUM_USERS}"
        parameters: dict[str, str | int] = {"user_id": user, "country": COUNTRY, "count": 20}
        answer = client.get("/api/v1/recommendations", params=parameters)
        if answer.status_code != 200:
            self.failures.append(answer.text)
            return
        body = answer.json()
        self.failures += [wrong for item in body["items"] if (wrong := wrongness(item))]
        self.answers.append((at, tuple(body["degraded"])))
        time.sleep(0.02)


def wrongness(item: dict[str, Any]) -> str:
    """What is wrong with an item of an answer, "" if nothing is."""
    row = int(ITEMS.item_ids.searchsorted(item["item_id"]))
    if not ITEMS.available[row]:
        return f"{item['item_id']} is sold out"
    if ITEMS.regions[row] not in ("", COUNTRY):
        return f"{item['item_id']} is for {ITEMS.regions[row]}"
    if item.get("price") != round(float(ITEMS.price[row]), 4):
        return f"{item['item_id']} costs {item.get('price')}, not {ITEMS.price[row]}"
    return ""


@pytest.fixture
def serving(tmp_path, redis_server) -> Iterator[servers.Serving]:
    address = f"redis://{redis_server}/9"
    # Clients without a pause make servers slow; marks of time limits are not the subject.
    limits = {"USERS": 5, "SOURCES": 5, "RANKER": 5, "DEADLINE": 15}
    settings = {f"KUBEREC_{name}_SECONDS": str(seconds) for name, seconds in {**limits, "ITEMS": ITEMS_SECONDS}.items()}
    with servers.ended(servers.make(tmp_path, [make_bundle(tmp_path / "one")], redis=address, **settings)) as made:
        yield made
    redis.Redis.from_url(address).flushdb()


def test_an_emptied_redis_is_a_failure_and_not_the_truth(serving, tmp_path):
    address = serving.transformer.environment["KUBEREC_REDIS"]
    place = StoreSettings(serving.store_dir / "online", "world", redis=address)
    serving.predictor.start()
    serving.transformer.start()
    servers.wait_ready(serving.predictor_url, serving.predictor)
    servers.wait_ready(serving.url, serving.transformer)
    servers.wait_for(lambda: serving.feed()["degraded"] == [], "the first feed stays degraded")
    addresses = {"transformer": serving.url, "predictor": serving.predictor_url}
    addresses = {name: url.removeprefix("http://") for name, url in addresses.items()}
    with prometheus(tmp_path, free_port(), addresses, "localhost:1") as running, Watchers([serving.url] * 8) as clients:
        servers.wait_for(lambda: len(running.values("recs_store_complete == 1")) == 2, "no metric")
        servers.wait_for(lambda: len(clients.answers) > 50, "no answers", 30)
        assert clients.marks_since(0.0) == {()}

        redis.Redis.from_url(address).flushdb()
        emptied = time.monotonic()
        time.sleep(ITEMS_SECONDS + 1.0)
        seen = len(clients.answers)
        servers.wait_for(lambda: len(clients.answers) > seen + 30, "no answers", 30)
        assert all("store" in marks for marks in clients.marks_since(emptied + ITEMS_SECONDS + 1.0))
        servers.wait_for(lambda: "KuberecStoreEmptied" in firing(running), "the alert does not fire")
        assert 'recs_degraded_total{reason="store"}' in serving.metrics()

        materialize(tmp_path / "features", world.feature_set(), place, world.NOW)
        servers.wait_for(lambda: serving.feed("u1")["degraded"] == [], "the store does not come back")
        servers.wait_for(lambda: "KuberecStoreEmptied" not in firing(running), "the alert does not end")
    assert clients.failures == []

    # A server that starts on an emptied store serves the snapshot of its bundle.
    serving.transformer.end()  # before the store is emptied: its last look would be a line more
    redis.Redis.from_url(address).flushdb()
    serving.transformer.start()
    servers.wait_ready(serving.url, serving.transformer)
    servers.wait_for(lambda: serving.feed(country=COUNTRY)["degraded"] == ["store"], "no mark, or too many")
    items = [item for number in range(20) for item in serving.feed(f"u{number}", country=COUNTRY)["items"]]
    assert [wrong for item in items if (wrong := wrongness(item))] == []
    lines = [line for line in serving.transformer.log.read_text().splitlines() if "ERROR kuberec" in line]
    assert [line.partition("ERROR kuberec ")[2].partition(",")[0] for line in lines] == [
        "The online store has no record of features for this bundle"
    ] * 2


def firing(running) -> set[str]:
    """Names of the firing alerts."""
    alerts = running.get("alerts")["alerts"]
    return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
