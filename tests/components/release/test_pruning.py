"""Old bundles go, and with them the online features that no other bundle refers to; a rollback still works."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from components.release import __main__ as command
from components.release.pruning import prune
from components.release.releases import go_back
from feature_repo.errors import BundleError
from feature_repo.storage.folder import local_path
from inference.bundles.bundle import Bundle, write_bundle
from inference.bundles.leftovers import ABANDONED
from inference.bundles.manifest import MANIFEST_FILE
from inference.bundles.store import BundleStore
from inference.feature_store import OnlineFeatures, StoreSettings, online_settings
from tests.kit import world
from tests.kit.bundle_factory import FACTS, content_of
from tests.kit.checkout import ROOT
from tests.kit.online_store import fill_store
from tests.kit.servers import wait_for


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    """Six bundles of one feature set."""
    directory, made = tmp_path_factory.mktemp("bundles"), []
    for number in range(6):
        prices = np.full(world.NUM_ITEMS, 1.0 + number, np.float32)
        artifacts = replace(world.artifacts(), items=world.items(price=prices))  # versions carry a hash of the files
        made.append(write_bundle(content_of(directory / str(number), artifacts), directory / "made", FACTS))
    return sorted(made, key=lambda bundle: bundle.version)


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, bundles: list[Bundle]) -> BundleStore:
    url = str(tmp_path / "store")
    if request.param == "s3":
        url = f"s3://{request.getfixturevalue('bucket')}/stores/world"
    store = BundleStore(url, tmp_path / "cache")
    for bundle in bundles:
        store.publish(bundle)
        store.set_current(bundle.version)
    return store


def test_served_previous_and_newest_bundles_stay(store: BundleStore, bundles: list[Bundle]) -> None:
    versions = [bundle.version for bundle in bundles]
    assert store.prune(4) == versions[:2]
    assert store.versions() == versions[2:]
    for version in (versions[4], versions[3], versions[2]):
        assert store.rollback() == version
    assert store.prune(1) == versions[3:5]  # the served bundle is the oldest, and has no bundle before it
    assert store.versions() == [versions[2], versions[5]]
    assert store.fetch(versions[2]).version == versions[2]
    assert store.prune(1) == []
    store._folder.remove("current", "")
    with pytest.raises(BundleError, match="no `current`"):
        store.prune(1)
    assert store.versions() == [versions[2], versions[5]]
    assert go_back(store, versions[2]) == f"served is {versions[2]}; the store had no current bundle"
    assert (store.current(), store.prune(1)) == (versions[2], [])


def test_the_command_says_what_it_removed(
    tmp_path: Path, bundles: list[Bundle], capsys: pytest.CaptureFixture[str]
) -> None:
    store = BundleStore(str(tmp_path / "store"))
    for bundle in bundles[:4]:
        store.publish(bundle)
        store.set_current(bundle.version)
    used = world.feature_set()
    unused = used.model_copy(update={"request_numeric": ()})
    place = online_settings(store.url, FACTS, "", tmp_path)
    for feature_set in (used, unused):
        fill_store(tmp_path / "features", place, feature_set)
    command.main(["prune", "--store", store.url, "--keep", "2"])
    names = ", ".join(bundle.version for bundle in bundles[:2])
    assert capsys.readouterr().out == f"removed {names}, and 1 online features that no kept bundle needs\n"
    assert OnlineFeatures(used, world.items().item_ids, place).freshness() is not None
    assert not place.sqlite_file(unused).exists()
    with pytest.raises(SystemExit):
        command.main(["prune", "--store", store.url, "--keep", "0"])


def test_a_damaged_bundle_stops_the_removal_of_features(tmp_path: Path, bundles: list[Bundle]) -> None:
    store = BundleStore(str(tmp_path / "store"))
    store.publish(bundles[0])
    store.set_current(bundles[0].version)
    unused = world.feature_set().model_copy(update={"request_numeric": ()})
    place = StoreSettings(tmp_path / "store" / "online", "world")
    fill_store(tmp_path / "features", place, unused)
    (tmp_path / "store" / "bundles" / bundles[0].version / "manifest.json").write_text("{}")
    with pytest.raises(BundleError):
        prune(store, lambda _facts: place)
    assert place.sqlite_file(unused).exists()


def test_what_killed_processes_left_is_removed_and_what_a_process_writes_now_stays(
    store: BundleStore, bundles: list[Bundle], tmp_path: Path
) -> None:
    moment = datetime.now(UTC)
    now, old = moment.strftime("%Y%m%dT%H%M%S"), (moment - ABANDONED).strftime("%Y%m%dT%H%M%S")
    left = [f"{old}-0123abcd", f"{old}-4567abcd"]
    running = [f"{now}-0123abcd", "not-of-kuberec"]
    if local_path(store.url) is not None:
        left, running = [f".{left[0]}.89abcdef", *left], [f".{now}-0123abcd.89abcdef", *running]
    half = tmp_path / "half"
    half.mkdir()
    (half / "items.npz").write_bytes(b"half of it")
    for name in (*left, *running):
        store._folder.add(half, f"bundles/{name}", last="items.npz")
    versions = [bundle.version for bundle in bundles]
    store._folder.remove(f"bundles/{versions[0]}/manifest.json", "")  # a `prune` was killed a moment ago
    assert store.versions() == versions[1:]
    assert sorted(store.prune(6)) == sorted([versions[0], *left])
    assert store._folder.names("bundles") == sorted([*versions[1:], *running])
    assert store.prune(6) == []


def test_a_killed_prune_leaves_a_usable_store_and_the_next_one_finishes(tmp_path: Path, bundles: list[Bundle]) -> None:
    store = BundleStore(str(tmp_path / "store"))
    for bundle in bundles:
        store.publish(bundle)
        store.set_current(bundle.version)
    folders = [tmp_path / "store" / "bundles" / bundle.version for bundle in bundles]
    for number in range(30_000):  # takes a while to remove
        (folders[1] / str(number)).touch()
    command = [sys.executable, "-m", "components.release", "prune", "--store", store.url, "--keep", "2"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        wait_for(lambda: not (folders[1] / MANIFEST_FILE).exists(), "the command removes nothing", seconds=60)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert folders[1].exists()
    assert store.versions() == [bundle.version for bundle in bundles[2:]]
    assert store.fetch(bundles[-1].version).manifest == bundles[-1].manifest
    assert store.previous() == bundles[-2].version
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert [bundle.version in done.stdout for bundle in bundles[1:4]] == [True] * 3
    assert [folder.exists() for folder in folders] == [False] * 4 + [True] * 2
