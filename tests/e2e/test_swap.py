"""Bundles are released and rolled back while people ask without a pause.

Every answer is compared with what the bundle it names answers in one process, item by item and score by score
(`clients.py`), and the bundles differ in every part (`editions.py`): an answer of two releases cannot pass. In the long
test two transformers turn at different moments in front of one predictor.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from inference.bundles.bundle import Bundle
from inference.feature_store import StoreSettings
from inference.models.neighbours import Neighbours
from inference.models.towers import Towers
from tests.e2e.clients import HEADERS, Clients, Items, Question, book, expected, questions, same
from tests.kit import editions, servers
from tests.kit.checkout import ROOT
from tests.kit.online_store import fill_store
from tests.kit.ports import free_port

NUM_EDITIONS = 5


@dataclass
class Stage:
    """The servers, and what every edition answers."""

    serving: servers.Serving
    urls: list[str]
    editions: list[Bundle]
    place: StoreSettings
    asked: list[Question]
    books: dict[str, list[list[Items]]]

    def versions(self) -> set[str]:
        """The versions that the transformers answer from, with a mark where they are degraded."""
        feeds = [
            httpx.get(f"{url}/api/v1/recommendations?user_id=u1", headers=HEADERS, timeout=20) for url in self.urls
        ]
        return {"".join([feed.json()["bundle_version"], *feed.json()["degraded"]]) for feed in feeds}

    def wait_for(self, version: str) -> None:
        servers.wait_for(lambda: self.versions() == {version}, f"{version} is not served by all")

    def degraded(self) -> float:
        """Marks counted by all transformers."""
        text = "\n".join(httpx.get(f"{url}/metrics", timeout=20).text for url in self.urls)
        return sum(float(number) for number in re.findall(r"^recs_degraded_total\{.*\} (\S+)$", text, re.MULTILINE))


@pytest.fixture(scope="module")
def stage(tmp_path_factory) -> Iterator[Stage]:
    directory: Path = tmp_path_factory.mktemp("swap")
    place = StoreSettings(directory / "store" / "online", "world")
    fill_store(directory / "features", place)
    fill_store(directory / "features-odd", place, editions.edition_features(1))
    made = [editions.make_edition(directory / str(number), number, place) for number in range(NUM_EDITIONS)]
    asked = questions()
    settings = {"KUBEREC_CLOCK": "request", "KUBEREC_ITEMS_SECONDS": "2"}
    with servers.ended(servers.make(directory, made[:1], **settings)) as serving:
        serving.predictor.start()
        serving.transformer.start()
        books = {bundle.version: book(bundle, asked, place) for bundle in made}
        servers.wait_ready(serving.url, serving.transformer)
        whole = Stage(serving, [serving.url], made, place, asked, books)
        whole.wait_for(made[0].version)
        yield whole


@contextmanager
def replica(stage: Stage) -> Iterator[Stage]:
    """The stage with another transformer, which looks at the store less often."""
    port = str(free_port())
    late = {**stage.serving.transformer.environment, "KUBEREC_HTTP_PORT": port, "KUBEREC_POLL_SECONDS": "1.7"}
    process = servers.Process("transformer", late, stage.serving.transformer.log.with_name("replica.log"))
    url = f"http://127.0.0.1:{port}"
    try:
        process.start()
        servers.wait_ready(url, process)
        yield replace(stage, urls=[*stage.urls, url])
    finally:
        process.end()
        assert "Traceback" not in process.log.read_text()


def test_an_answer_of_two_releases_would_be_seen(stage):
    """Each part of another edition gives answers that neither gives alone; else the tests below could not fail."""
    one, other = stage.editions[:2]
    own, lent = one.artifacts(), other.artifacts()
    towers, others = own.part(Towers), lent.part(Towers)
    mixed = {
        "ranker": (own, other.ranker()),
        "towers and index": (own.with_parts(replace(towers, encoder=others.encoder, index=others.index)), one.ranker()),
        "user tower": (own.with_parts(replace(towers, encoder=others.encoder)), one.ranker()),
        "index": (own.with_parts(replace(towers, index=others.index)), one.ranker()),
        "embeddings": (own.with_parts(replace(towers, embeddings=others.embeddings)), one.ranker()),
        "neighbours": (own.with_parts(lent.part(Neighbours)), one.ranker()),
        "row map": (replace(own, items=replace(own.items, item_ids=lent.items.item_ids)), one.ranker()),
        "contents": (replace(own, contents=lent.contents), one.ranker()),
    }
    for part, (artifacts, ranker) in mixed.items():
        answers = [_answers(question, artifacts, ranker, stage.place) for question in stage.asked[:24]]
        seen = [
            answer is None or not any(same(answer, stage.books[bundle.version][place]) for bundle in (one, other))
            for place, answer in enumerate(answers)
        ]
        assert sum(seen) > len(seen) / 2, part


def _answers(question, artifacts, ranker, place) -> list[Items] | None:
    try:
        return expected(question, artifacts, ranker, place)
    except IndexError:
        return None  # a row that is none here: an error, which no client overlooks


def swap(stage: Stage, num_requests: int, num_swaps: int) -> None:
    """Releases the editions in turn, the last step is a rollback; people ask all the while."""
    first = str(stage.serving.store.current())
    released = [bundle.version for bundle in stage.editions if bundle.version != first][: num_swaps - 1]
    way = [first, *released, [first, *released][-2]]
    assert len(way) == num_swaps + 1, "too few editions"
    marks = stage.degraded()
    with Clients(stage.urls * (4 // len(stage.urls)), stage.asked, stage.books) as clients:
        for turn, version in enumerate(way[1:], start=1):
            enough = num_requests * turn // (num_swaps + 1)
            servers.wait_for(lambda enough=enough: clients.answered(enough), "the servers are too slow", 600)
            if turn < num_swaps:
                stage.serving.store.publish(next(one for one in stage.editions if one.version == version))
                stage.serving.store.set_current(version)
            else:
                roll_back(stage, way[-2], version)
            stage.wait_for(version)
        servers.wait_for(lambda: clients.answered(num_requests), "the servers are too slow", 600)
    assert clients.failures == []
    assert len(clients.seconds) >= num_requests
    assert stage.degraded() == marks
    for turns in clients.turns.values():
        assert turns == way  # each client saw every release, and none that came back
    for log in (stage.serving.transformer.log, stage.serving.predictor.log):
        assert "Traceback" not in log.read_text()


def roll_back(stage: Stage, served: str, version: str) -> None:
    command = [sys.executable, "-m", "components.release", "rollback", "--store", str(stage.serving.store_dir)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"rolled back from {served} to {version}")


def test_a_release_and_a_rollback_under_load(stage):
    swap(stage, num_requests=1_000, num_swaps=2)
    served = stage.editions[0]
    for url in stage.urls:
        text = httpx.get(f"{url}/metrics", timeout=20).text
        assert re.findall(r'^recs_bundle_info\{version="(.*)"\} 1.0$', text, re.MULTILINE) == [served.version]
        (age,) = re.findall(r"^recs_index_age_seconds (\S+)$", text, re.MULTILINE)
        assert abs(float(age) - (time.time() - served.manifest.created())) < 10
    text = httpx.get(f"{stage.serving.predictor_url}/metrics", timeout=20).text
    assert f'recs_bundle_info{{version="{served.version}"}} 1.0' in text


def test_pages_go_on_across_a_release(stage):
    first, second = stage.serving.store.current(), stage.editions[3]
    ask = lambda **more: stage.serving.client.get(  # noqa: E731
        "/api/v1/recommendations", params={"user_id": "u3", "count": 30, **more}, headers=HEADERS
    ).json()
    page = ask()
    stage.serving.store.publish(second)
    stage.serving.store.set_current(second.version)
    stage.wait_for(second.version)
    after = ask(cursor=page["cursor"])
    assert (page["bundle_version"], after["bundle_version"]) == (first, second.version)
    assert not {item["item_id"] for item in page["items"]} & {item["item_id"] for item in after["items"]}
    assert len(after["items"]) == 30


@pytest.mark.long
def test_many_swaps_under_load(stage):
    with replica(stage) as both:
        both.wait_for(str(stage.serving.store.current()))
        swap(both, num_requests=10_000, num_swaps=5)


@pytest.mark.long
def test_the_memory_of_earlier_releases_is_freed(tmp_path):
    """Twenty turns between two bundles whose vectors and index take 18 MB of memory each time they are loaded."""
    place = StoreSettings(tmp_path / "store" / "online", "world")
    for number in range(2):
        fill_store(tmp_path / f"features{number}", place, editions.edition_features(number))
    made = [editions.make_edition(tmp_path / str(number), number, place, dimension=8_192) for number in range(2)]
    with servers.ended(servers.make(tmp_path, made, KUBEREC_CLOCK="request")) as serving:
        serving.predictor.start()
        serving.transformer.start()
        servers.wait_ready(serving.url, serving.transformer)
        taken = []
        for turn in range(1, 21):
            version = made[turn % 2].version
            serving.store.set_current(version)
            text = f'recs_bundle_info{{version="{version}"}}'
            servers.wait_for(lambda text=text: text in serving.metrics(), "the turn does not come")
            taken.append([resident(serving.transformer), resident(serving.predictor)])
        transformer, predictor = np.array(taken).T
        print(f"resident MB: transformer {transformer}, predictor {predictor}")
        assert transformer[-5:].mean() - transformer[4:9].mean() < 60  # 12 releases would be 200
        assert predictor[-5:].mean() - predictor[4:9].mean() < 30


def resident(process: servers.Process) -> int:
    """Memory of a server in MB."""
    assert process.process is not None
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return int(re.findall(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[0]) // 1024
