"""Rolling back and listing, as an operator does it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.release.releases import describe, go_back
from feature_repo.errors import BundleError
from feature_repo.storage.files import read_json, write_json
from inference.bundles.bundle import Bundle
from inference.bundles.store import BundleStore
from inference.feature_store import StoreSettings
from tests.kit import editions
from tests.kit.bundle_factory import make_bundle
from tests.kit.checkout import ROOT
from tests.kit.online_store import fill_store


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    folder = tmp_path_factory.mktemp("bundles")
    return [make_bundle(folder / str(seed), seed=seed) for seed in range(4)]


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, bundles: list[Bundle]) -> BundleStore:
    url = str(tmp_path / "store") if request.param == "directory" else f"memory://releases-{tmp_path.name}"
    made = BundleStore(url, tmp_path / "cache")
    for bundle in bundles:
        made.publish(bundle)
    return made


def versions(bundles: list[Bundle]) -> list[str]:
    return [bundle.version for bundle in bundles]


def test_going_back_again_goes_further(store: BundleStore, bundles: list[Bundle]) -> None:
    a, b, c, d = versions(bundles)
    with pytest.raises(BundleError, match="serves nothing yet"):
        go_back(store)
    for version in (a, b, c):
        store.set_current(version)
    assert go_back(store) == f"rolled back from {c} to {b}"
    assert go_back(store) == f"rolled back from {b} to {a}"
    with pytest.raises(BundleError, match="no earlier bundle"):
        go_back(store)
    assert store.current() == a

    # A release after a rollback follows what was served then, not what was left behind.
    store.set_current(d)
    assert go_back(store) == f"rolled back from {d} to {a}"
    # What was left behind can be named; it then follows what was served before it now.
    assert go_back(store, c) == f"served is {c}, before it was {a}"
    assert go_back(store, c) == f"{c} is served already"
    assert store.rollback() == a
    with pytest.raises(BundleError, match="does not hold bundle nothing"):
        go_back(store, "nothing")
    assert store.current() == a


def test_naming_an_earlier_version_is_going_back(store: BundleStore, bundles: list[Bundle]) -> None:
    a, b, c, d = versions(bundles)
    for version in (a, b, c, d):
        store.set_current(version)
    go_back(store, b)
    assert store.rollback() == a
    assert store.previous() is None


def test_removed_bundles_are_passed_over_and_unreadable_ones_refused(tmp_path: Path, bundles: list[Bundle]) -> None:
    a, b, c, d = versions(bundles)
    store = BundleStore(str(tmp_path / "store"))
    for bundle in bundles:
        store.publish(bundle)
        store.set_current(bundle.version)
    manifest = tmp_path / "store" / "bundles" / c / "manifest.json"
    manifest.write_text("{")
    with pytest.raises(BundleError, match=c):
        store.rollback()
    with pytest.raises(BundleError, match=c):
        store.set_current(c)
    assert store.current() == d
    assert [c in line and "cannot be read" in line for line in describe(store)].count(True) == 1
    manifest.unlink()
    assert store.rollback() == b
    record = tmp_path / "store" / "released" / b
    record.write_text("{}")
    with pytest.raises(BundleError, match=r"released/.*--to"):
        store.rollback()
    record.unlink()
    with pytest.raises(BundleError, match="no earlier bundle"):
        store.rollback()
    go_back(store, a)
    assert store.current() == a


def test_going_back_from_a_bundle_that_is_gone_is_done(tmp_path: Path, bundles: list[Bundle]) -> None:
    """Whoever heard of a failure would ask again, and go back once more."""
    a, b, c, _ = versions(bundles)
    store = BundleStore(str(tmp_path / "store"))
    for bundle in bundles[:3]:
        store.publish(bundle)
        store.set_current(bundle.version)
    shutil.rmtree(tmp_path / "store" / "bundles" / c)
    told = go_back(store)
    assert told.startswith(f"rolled back from {c} to {b}; the age of its features is unknown, refresh now: ")
    assert store.current() == b
    assert store.previous() == a


def test_releases_at_one_moment_keep_each_its_own_way_back(tmp_path: Path, bundles: list[Bundle]) -> None:
    """Whichever is served in the end, a rollback goes to a version that was served before it, and ends."""
    a, b, c, d = versions(bundles)
    url = str(tmp_path / "store")
    for bundle in bundles:
        BundleStore(url).publish(bundle)
    for _ in range(20):
        (tmp_path / "store" / "current").unlink(missing_ok=True)
        BundleStore(url).set_current(a)
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda version: BundleStore(url).set_current(version), (b, c, d)))
        store = BundleStore(url)
        way = [store.current()]
        while (before := store.previous()) is not None:
            way.append(before)
            store.rollback()
        assert way[0] in (b, c, d)
        assert way[-1] == a
        assert len(way) == len(set(way)) >= 2


def test_the_list_tells_what_is_served_and_what_was(tmp_path: Path, bundles: list[Bundle]) -> None:
    store = BundleStore(str(tmp_path / "store"))
    with pytest.raises(BundleError, match="holds no bundle"):
        describe(store)
    for bundle in bundles:
        store.publish(bundle)
    a, b, c, d = versions(bundles)
    for version in (c, a, b):
        store.set_current(version)
    # Released long after it was made, and listed by its release.
    record = tmp_path / "store" / "released" / c
    write_json(record, {**read_json(record), "at": (datetime.now(UTC) - timedelta(days=9)).isoformat()})
    lines = describe(store)
    assert [(line[0], line.split()[1] if line[0] != " " else line.split()[0]) for line in lines] == [
        (" ", c), ("<", a), ("*", b), (" ", d)
    ]  # fmt: skip
    assert "not released" in lines[3]
    assert all("300 items, log until 2023-11-14 22:13:20, gate passed" in line for line in lines)
    assert json.loads(record.read_text())["before"] is None


def test_a_bundle_of_another_feature_set_wants_a_refresh(tmp_path: Path) -> None:
    place = StoreSettings(tmp_path / "online", "world")
    for number in range(2):
        fill_store(tmp_path / f"features{number}", place, editions.edition_features(number))
    made = [editions.make_edition(tmp_path / str(number), number, place) for number in range(2)]
    store = BundleStore(str(tmp_path / "store"))
    for bundle in made:
        store.publish(bundle)
        store.set_current(bundle.version)
    assert go_back(store).endswith(
        f"to {made[0].version}; its feature set is a different one, so its features are as old as its last refresh: "
        "refresh now"
    )


def test_the_commands(tmp_path: Path, bundles: list[Bundle]) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "components.release", *arguments, "--store", str(tmp_path / "store")]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)

    failed = run("rollback")
    assert failed.returncode == BundleError.exit_code
    assert failed.stderr == (
        f"error: The store {tmp_path / 'store'} serves nothing yet: check its name, or release a bundle first.\n"
    )
    store = BundleStore(str(tmp_path / "store"))
    for bundle in bundles[:2]:
        store.publish(bundle)
        store.set_current(bundle.version)
    a, b = versions(bundles[:2])
    done = run("rollback")
    assert (done.returncode, done.stdout) == (0, f"rolled back from {b} to {a}\n")
    assert run("list").stdout.splitlines()[0].startswith(f"* {a}  released ")
