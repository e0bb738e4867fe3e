"""The bundle store on a real S3 server: publishing, turning, fetching, and what can go wrong on the way."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from feature_repo.errors import BundleError
from feature_repo.storage import remote_folder
from feature_repo.storage.files import list_files
from feature_repo.storage.remote_folder import RemoteFolder
from inference.bundles.bundle import Bundle
from inference.bundles.manifest import MANIFEST_FILE
from inference.bundles.store import BundleStore
from tests.kit import object_store
from tests.kit.bundle_factory import make_bundle
from tests.kit.checkout import ROOT
from tests.kit.ports import free_port
from tests.kit.relay import relay


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> list[Bundle]:
    folder = tmp_path_factory.mktemp("bundles")
    return [make_bundle(folder / "one"), make_bundle(folder / "two", seed=1)]


@pytest.fixture
def remote(bucket, tmp_path) -> BundleStore:
    return BundleStore(f"s3://{bucket}/stores/world", tmp_path / "cache")


def files_of(bundle: Bundle) -> list[str]:
    return [name for name in list_files(bundle.path) if name != MANIFEST_FILE]


def test_a_store_lives_in_a_bucket(remote, bundles, tmp_path):
    one, two = bundles
    assert (remote.versions(), remote.current(), remote.previous()) == ([], None, None)
    with pytest.raises(BundleError, match="does not hold bundle nothing"):
        remote.set_current("nothing")
    for bundle in (one, two, one):
        remote.publish(bundle)
    assert remote.versions() == sorted([one.version, two.version])
    assert remote.current() is None
    remote.set_current(one.version)
    with pytest.raises(BundleError, match="no earlier bundle"):
        remote.rollback()
    remote.set_current(two.version)
    assert (remote.current(), remote.previous()) == (two.version, one.version)
    assert remote.manifest(two.version) == two.manifest
    assert remote.feature_set(two.version) == two.feature_set
    assert not (tmp_path / "cache").exists()
    assert remote.rollback() == one.version
    assert (remote.current(), remote.previous()) == (one.version, None)
    with pytest.raises(BundleError, match="no earlier bundle"):
        remote.rollback()
    remote.set_current(two.version)
    assert (BundleStore(remote.url).current(), BundleStore(remote.url).previous()) == (two.version, one.version)


def test_a_fetched_bundle_is_the_published_one_and_comes_from_the_cache_next_time(remote, bundles, tmp_path):
    bundle = bundles[0]
    remote.publish(bundle)
    fetched = remote.fetch(bundle.version)
    assert fetched.path == tmp_path / "cache" / bundle.version
    assert list_files(fetched.path) == list_files(bundle.path)
    assert all((fetched.path / name).read_bytes() == (bundle.path / name).read_bytes() for name in files_of(bundle))
    assert fetched.ranker().num_features == bundle.ranker().num_features
    gone = BundleStore("s3://no-such-bucket/stores/world", remote.cache)
    assert gone.fetch(bundle.version).manifest == bundle.manifest
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [bundle.version]


def test_a_bundle_without_manifest_is_not_there_and_can_be_published_again(remote, bundles):
    bundle = bundles[0]
    RemoteFolder(remote.url).upload(bundle.path, files_of(bundle), f"bundles/{bundle.version}")
    assert remote.versions() == []
    with pytest.raises(BundleError, match="does not hold"):
        remote.set_current(bundle.version)
    for ask in (remote.fetch, remote.manifest):
        with pytest.raises(BundleError, match=f"does not hold bundle {bundle.version}"):
            ask(bundle.version)
    remote.publish(bundle)
    assert remote.versions() == [bundle.version]


def test_the_manifest_is_written_last(remote, bundles, s3_server):
    remote.publish(bundles[0])
    puts = [line.split()[6] for line in s3_server.log.read_text().splitlines() if f'"PUT /{remote.url[5:]}/' in line]
    assert sorted(path.rpartition("/")[2] for path in puts) == sorted(
        path.rpartition("/")[2] for path in list_files(bundles[0].path)
    )
    assert puts[-1].endswith(f"/{bundles[0].version}/{MANIFEST_FILE}")


def test_an_upload_that_breaks_off_leaves_no_bundle(remote, bundles, tmp_path):
    bundle = bundles[0]
    broken = tmp_path / bundle.version
    shutil.copytree(bundle.path, broken)
    (broken / "popularity.npz").unlink()
    (broken / "popularity.npz").symlink_to("/proc/self/mem")  # is a file, and cannot be read
    with pytest.raises(BundleError, match=f"{bundle.version} cannot be published"):
        remote.publish(Bundle(broken, bundle.manifest, bundle.feature_set))
    assert remote.versions() == []


def test_damaged_objects_are_refused_and_never_cached(remote, bundles, tmp_path, s3_server, bucket):
    bundle = bundles[0]
    remote.publish(bundle)
    key = f"stores/world/bundles/{bundle.version}/items.npz"
    s3_server.client().put_object(Bucket=bucket, Key=key, Body=b"something else")
    with pytest.raises(BundleError, match=r"damaged: items\.npz does not have its checksum"):
        remote.fetch(bundle.version)
    s3_server.client().delete_object(Bucket=bucket, Key=key)
    with pytest.raises(BundleError, match=f"{bundle.version} cannot be fetched: s3://{bucket}"):
        remote.fetch(bundle.version)
    assert list((tmp_path / "cache").iterdir()) == []
    s3_server.client().put_object(Bucket=bucket, Key=key, Body=(bundle.path / "items.npz").read_bytes())
    assert remote.fetch(bundle.version).manifest == bundle.manifest


@pytest.mark.parametrize("damage", ["file", "manifest"])
def test_a_copy_that_went_bad_is_fetched_again(remote, bundles, damage):
    bundle = bundles[0]
    remote.publish(bundle)
    name = MANIFEST_FILE if damage == "manifest" else "items.npz"
    path = remote.fetch(bundle.version).path / name
    path.write_bytes(path.read_bytes()[:20])
    assert remote.fetch(bundle.version).path == path.parent
    assert path.read_bytes() == (bundle.path / name).read_bytes()


def test_many_fetch_into_one_cache_at_once(remote, bundles):
    bundle = bundles[0]
    remote.publish(bundle)
    start = threading.Barrier(6)

    def fetch(_: int) -> str:
        start.wait()
        return BundleStore(remote.url, remote.cache).fetch(bundle.version).artifacts().items.item_ids[0]

    with ThreadPoolExecutor(6) as pool:
        assert len(list(pool.map(fetch, range(6)))) == 6
    assert [path.name for path in remote.cache.iterdir()] == [bundle.version]


def test_a_second_reader_sees_every_turn_at_once_and_never_a_half(remote, bundles):
    versions = [bundle.version for bundle in bundles]
    reader = BundleStore(remote.url, remote.cache)
    assert (reader.current(), reader.versions()) == (None, [])
    for bundle in bundles:
        remote.publish(bundle)
        assert bundle.version in reader.versions()
    remote.set_current(versions[0])
    seen, stop = [], threading.Event()

    def read() -> None:
        own = BundleStore(remote.url, remote.cache)
        while not stop.is_set():
            seen.append(own.current())

    thread = threading.Thread(target=read)
    thread.start()
    for turn in range(20):
        remote.set_current(versions[turn % 2])
        assert reader.current() == versions[turn % 2]
    stop.set()
    thread.join()
    assert set(seen) <= set(versions)
    assert len(seen) > 5


def test_files_travel_side_by_side(remote, bundles, s3_server, monkeypatch):
    with relay(s3_server.endpoint) as passage:
        monkeypatch.setenv("AWS_ENDPOINT_URL", passage.url)
        BundleStore(remote.url).publish(bundles[0])
        up = passage.most_open
        BundleStore(remote.url, remote.cache).fetch(bundles[0].version)
    assert len(files_of(bundles[0])) >= 6
    assert up >= 4  # one after the other would use one connection
    assert passage.opened - up >= 4


def test_a_server_that_is_down_is_a_sentence_soon(remote, bundles, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    started = time.monotonic()
    for work in (
        remote.current,
        remote.versions,
        lambda: remote.publish(bundles[0]),
        lambda: remote.fetch(bundles[0].version),
        lambda: remote.set_current(bundles[0].version),
    ):
        with pytest.raises(BundleError, match="check the address, AWS_ENDPOINT_URL and the server") as caught:
            work()
        assert remote.url in str(caught.value)
        assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 60


def test_a_silent_server_is_given_up(remote, monkeypatch):
    # With the limits as they are: the same number of attempts, each of that many seconds.
    assert remote_folder.RETRIES * remote_folder.CALL_ATTEMPTS * remote_folder.READ_SECONDS <= 60
    monkeypatch.setattr(remote_folder, "READ_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(BundleError, match="imeout"):
            remote.current()
    assert time.monotonic() - started < 20


def test_a_server_that_dies_and_comes_back(tmp_path, monkeypatch, bundles):
    with object_store.started(tmp_path / "log") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        store = BundleStore(f"s3://{server.make_bucket()}/world", tmp_path / "cache")
        store.publish(bundles[0])
        store.set_current(bundles[0].version)
        server.end()
        with pytest.raises(BundleError, match="`current` cannot be read"):
            store.current()
        port = int(server.endpoint.rsplit(":", 1)[1])
        with object_store.started(tmp_path / "log2", port) as again:
            again.client().create_bucket(Bucket=store.url.split("/")[2])
            assert store.current() is None  # it lost everything, and answers
            store.publish(bundles[1])
            store.set_current(bundles[1].version)
            assert store.current() == bundles[1].version


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("s3://kuberec-no-such-bucket/world", "the bucket does not exist: create it, or name another"),
        ("s3://No Such Name!/world", "[Ii]nvalid bucket name"),
        ("s3://", r"names no bucket: write s3://bucket/folder"),
        ("s4://bucket/world", "cannot be opened: Protocol not known"),
    ],
)
def test_places_that_are_none_are_a_sentence(bucket, bundles, tmp_path, url, sentence):
    store = BundleStore(url, tmp_path)
    for work in (store.current, store.versions, lambda: store.publish(bundles[0])):
        with pytest.raises(BundleError, match=sentence):
            work()


def test_wrong_credentials_are_a_sentence_and_right_ones_work(remote, s3_server, monkeypatch, bundles):
    refused = "access is refused .*check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"
    remote.publish(bundles[0])
    with s3_server.asking_for_credentials() as key:
        for work in (remote.current, remote.versions, lambda: remote.publish(bundles[1])):
            with pytest.raises(BundleError, match=refused):
                work()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AWS_ACCESS_KEY_ID"])
        with pytest.raises(BundleError, match=refused):
            BundleStore(remote.url).current()
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["AWS_SECRET_ACCESS_KEY"])
        right = BundleStore(remote.url, remote.cache)
        right.set_current(bundles[0].version)
        assert right.fetch(str(right.current())).manifest == bundles[0].manifest


def test_no_credentials_are_a_sentence(remote, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(BundleError, match="access is refused"):
        remote.current()


def test_the_serving_environment_reads_a_bucket(remote, bundles, serving_python):
    remote.publish(bundles[0])
    remote.set_current(bundles[0].version)
    program = (
        "import sys; from pathlib import Path; from inference.bundles.store import BundleStore\n"
        "store = BundleStore(sys.argv[1], Path(sys.argv[2]))\n"
        "print(store.fetch(store.current()).version)"
    )
    command = [str(serving_python), "-c", program, remote.url, str(remote.cache)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert finished.stdout.strip() == bundles[0].version, finished.stderr
    assert finished.stderr == ""
