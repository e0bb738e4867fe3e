"""Both servers over a store in a bucket: a feed, a new release, and a bucket that is away for a while."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.bundles.store import BundleStore
from tests.kit import object_store, servers
from tests.kit.bundle_factory import make_bundle


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bundles")
    return [make_bundle(directory / str(seed), seed=seed) for seed in range(3)]


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An S3 server of this test's own: it is ended on the way."""
    with object_store.started(tmp_path / "s3.log") as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


def turned_to(serving: servers.Serving, version: str) -> bool:
    body = serving.feed()
    return body["bundle_version"] == version and body["degraded"] == []


def failures(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if "`current` cannot be read" in line]


def test_the_servers_follow_a_bucket(tmp_path, bundles, server):
    one, two, three = bundles
    url = f"s3://{server.make_bucket()}/stores/world"
    with servers.ended(servers.make(tmp_path, [one, two], url=url)) as serving:
        for process, address in ((serving.predictor, serving.predictor_url), (serving.transformer, serving.url)):
            process.start()
            servers.wait_ready(address, process)
        servers.wait_for(lambda: turned_to(serving, one.version), "the first bundle is not served")
        assert len(serving.feed("u1", count=10)["items"]) == 10

        serving.store.publish(three)
        serving.store.set_current(three.version)
        servers.wait_for(lambda: turned_to(serving, three.version), "the new release is not served")
        assert serving.store.rollback() == one.version
        servers.wait_for(lambda: turned_to(serving, one.version), "the rollback is not served")
        cached = {path.name for path in (tmp_path / "cache").iterdir()}
        assert cached == {one.version, three.version}

        server.end()
        logs = serving.transformer.log, serving.predictor.log
        servers.wait_for(lambda: all(failures(log) for log in logs), "nobody says that the store is away")
        assert turned_to(serving, one.version)
        for log in logs:
            assert "Traceback" not in log.read_text()
            assert url in failures(log)[0]

        port = int(server.endpoint.rsplit(":", 1)[1])
        with object_store.started(tmp_path / "again.log", port) as again:
            again.client().create_bucket(Bucket=url.split("/")[2])
            store = BundleStore(url)
            store.publish(two)
            store.set_current(two.version)
            servers.wait_for(lambda: turned_to(serving, two.version), "the store that came back is not followed")
