"""The catalogue is read from the online store by a process of its own."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from feature_repo.errors import FeatureStoreError, KuberecError
from inference.feature_store import StoreSettings, materialize
from inference.feature_store.catalogue_process import CatalogueKey, CatalogueProcess, Reading
from tests.kit import world
from tests.kit.bundle_factory import make_bundle
from tests.kit.online_store import fill_store


def test_the_catalogue_is_read_by_a_process_of_its_own(tmp_path):
    bundle, process = make_bundle(tmp_path / "bundle"), CatalogueProcess()
    now = bundle.artifacts().items
    place = StoreSettings(tmp_path / "online", "world")
    key = CatalogueKey(bundle.path, place)
    try:
        held = Reading(now)
        with pytest.raises(FeatureStoreError, match="missing"):
            process.read(key, held, bundle.feature_set)
        fill_store(tmp_path / "features", place)
        read = process.read(key, held, bundle.feature_set)
        for name in ("numeric", "categorical", "price", "available", "created_at", "regions", "min_age"):
            assert np.array_equal(getattr(read.items, name), getattr(now, name), equal_nan=name != "regions"), name
        assert process._folder is not None
        assert list(Path(process._folder.name).iterdir()) == []  # a killed server would leave it, 60 MB at a time
        assert read.freshness is not None
        assert read.freshness.as_of == world.NOW
        assert abs(read.freshness.computed_at - time.time()) < 60
        assert process.read(key, read, bundle.feature_set) is read  # nothing was refreshed since
        materialize(tmp_path / "features", bundle.feature_set, place, world.NOW)
        again = process.read(key, read, bundle.feature_set)
        assert again.freshness != read.freshness
        worker = process._process
        assert worker is not None
        worker.kill()
        worker.wait()
        assert (process.read(key, held, bundle.feature_set).items.price == now.price).all()
    finally:
        process.close()
    assert process._process is not None
    assert process._process.poll() is not None


def test_the_process_of_a_killed_server_leaves_without_a_word(tmp_path, capfd):
    """It reads on for seconds, and then nobody is there to be answered."""
    process = CatalogueProcess()
    key = CatalogueKey(tmp_path / "no bundle", StoreSettings(tmp_path / "online", "world"))
    try:
        with pytest.raises(KuberecError):
            process.read(key, Reading(world.items()), world.feature_set())
        worker = process._process
        assert worker is not None
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdout.close()
        worker.stdin.write(json.dumps({"bundle": "no bundle", "store": ["", "", "", ""]}) + "\n")
        worker.stdin.flush()
        assert worker.wait(timeout=30) == 0
        assert capfd.readouterr().err == ""
    finally:
        process.close()


def test_a_full_disk_leaves_the_catalogue_in_use_and_the_process_alive(tmp_path, disk, monkeypatch, capfd):
    bundle, process = make_bundle(tmp_path / "bundle"), CatalogueProcess()
    held = Reading(bundle.artifacts().items)
    key = CatalogueKey(bundle.path, StoreSettings(tmp_path / "online", "world"))
    fill_store(tmp_path / "features", key.store)
    monkeypatch.setattr(tempfile, "tempdir", str(disk.path))
    capfd.readouterr()
    try:
        for room in (0, 5_000):
            disk.leave(room)
            with pytest.raises(FeatureStoreError, match=r"catalogue cannot be written to .*: .*(No space|requested)"):
                process.read(key, held, bundle.feature_set)
            assert process._folder is not None
            assert list(Path(process._folder.name).iterdir()) == []
        assert process._process is not None
        assert process._process.poll() is None
        disk.make_room()
        assert (process.read(key, held, bundle.feature_set).items.price == held.items.price).all()
        assert capfd.readouterr().err == ""
    finally:
        process.close()
