"""Reads the whole catalogue from the online store in a separate process, each time after a refresh.

Reading thousands of items takes seconds of pure Python, which would block the requests in the same interpreter. The
process starts on the first read, has a low priority and keeps its connection. It writes the snapshot and the popular
list of the refresh as files (`models/`) and ends with the server. The protocol is one line of JSON for a question and
one line for the answer. If the store was not refreshed since the catalogue in use was read, the answer says only that.
A store that was emptied, or that went back to older features, leaves the catalogue in use, and an item without a row
keeps its values. If the store has no popular list for the bundle, or a damaged one, the list in use stays.

    python -m inference.feature_store.catalogue_process
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import astuple, dataclass, replace
from io import RawIOBase
from pathlib import Path
from typing import Any, TextIO, cast

import numpy as np
import numpy.typing as npt

from feature_repo.command import Command
from feature_repo.errors import FeatureStoreError, KuberecError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import ItemColumns
from inference.bundles.bundle import FEATURE_SET, ITEM_IDS
from inference.bundles.manifest import Manifest
from inference.feature_store import Freshness, OnlineFeatures, StoreSettings
from inference.feature_store.store_state import missing_items
from inference.models.popularity import POPULARITY_FILE, Popularity
from inference.models.snapshot import completed, load_item_ids, load_items, save_items

NICENESS = 10
HELD_SUFFIX = ".held.npy"  # whether the store has each item
END_SECONDS = 1.0  # a short wait is safe: files of the process are read only after its answer


@dataclass(frozen=True)
class CatalogueKey:
    """The key of a catalogue: a bundle (feature set and row map) and an online store.

    Attributes:
        bundle: Directory of the bundle.
        store: Location of the features.
    """

    bundle: Path
    store: StoreSettings


@dataclass(frozen=True)
class Reading:
    """The result of reading a catalogue.

    Attributes:
        items: The catalogue.
        freshness: The store's record of the values, None for the snapshot of the bundle.
        gaps: What the store lacked when the catalogue was read, in sentences; "" if it was complete. Items without a
            row have the values of the catalogue before.
        fault: What is wrong with the store; "" if it is complete.
        popularity: The popular list of the refresh; None if the list in use stays.
    """

    items: ItemColumns
    freshness: Freshness | None = None
    gaps: str = ""
    fault: str = ""
    popularity: Popularity | None = None


class CatalogueProcess:
    """The server's side of the protocol. It sends one question at a time; other callers wait."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()

    def read(self, key: CatalogueKey, now: Reading, feature_set: FeatureSet) -> Reading:
        """Returns the store's current catalogue, or the one in use if the store was not refreshed since or was emptied.

        Args:
            key: The catalogue to read.
            now: The catalogue in use; the new catalogue shares its row map.
            feature_set: Feature set of the bundle.

        Raises:
            FeatureStoreError: The store cannot be read, or the process ended.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                try:
                    self._start()
                except OSError as error:  # a full disk, or too many processes
                    raise FeatureStoreError(f"The process that reads the catalogue cannot start: {error}.") from error
            assert self._process is not None
            assert self._folder is not None
            path = Path(self._folder.name) / "items.npz"
            question = {
                "bundle": str(key.bundle),
                "store": [str(key.store.directory), key.store.dataset, key.store.stage, key.store.redis],
                "held": None if now.freshness is None else astuple(now.freshness),
                "out": str(path),
            }
            answer = self._ask(self._process, json.dumps(question))
            if answer["error"]:
                raise FeatureStoreError(answer["error"])
            if not answer["changed"]:
                fault = answer["fault"] or now.gaps
                return now if fault == now.fault else replace(now, fault=fault)
            items = load_items(path, now.items.item_ids, feature_set)
            held = np.load(path.with_suffix(HELD_SUFFIX))
            popularity = Popularity.load(path.parent) if answer["has_list"] else None
            for file in _files(path):
                file.unlink(missing_ok=True)  # a killed server would leave the file
            if not held.all():
                items = completed(items, held, now.items)
            gaps = " ".join(filter(None, (missing_items(int((~held).sum()), len(items)), answer["list_fault"])))
            return Reading(items, Freshness(*answer["freshness"]), gaps, answer["fault"] or gaps, popularity)

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            _end(self._process)
        if self._folder is not None:
            self._folder.cleanup()

    def _start(self) -> None:
        if self._process is not None:
            _end(self._process)
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="kuberec-catalogue-")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "inference.feature_store.catalogue_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C goes to the server, which ends this process
        )

    def _ask(self, process: subprocess.Popen[str], question: str) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(question + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except (OSError, ValueError) as error:
            return {"error": f"The process that reads the catalogue has ended: {error}"}
        if not answer:
            return {"error": "The process that reads the catalogue has ended without an answer."}
        return cast(dict[str, Any], json.loads(answer))


def _end(process: subprocess.Popen[str]) -> None:
    """Closes the process's input, which ends it; kills the process if it does not end in time."""
    try:
        process.communicate(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def work(_options: argparse.Namespace) -> None:
    """The process's side of the protocol: it answers until its input ends."""
    # Libraries may print; the answers use a separate channel, without a buffer that is flushed at the end.
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    os.nice(NICENESS)
    with contextlib.suppress(BrokenPipeError):  # the server was killed during the read
        _answer(sys.stdin, channel)


def _answer(questions: TextIO, channel: RawIOBase) -> None:
    opened: tuple[list[str], str, OnlineFeatures] | None = None  # its name, version of the bundle, reader
    for line in questions:
        question = json.loads(line)
        answer: dict[str, Any] = {"error": ""}
        try:
            name = [question["bundle"], *question["store"]]
            if opened is None or opened[0] != name:
                opened = (name, *_open(Path(question["bundle"]), question["store"]))
            # Read before the items, so that items which a refresh replaces meanwhile are read again next time.
            freshness = opened[2].freshness()
            held = question["held"] and Freshness(*question["held"])
            is_newer = freshness is not None and (held is None or freshness.computed_at >= held.computed_at)
            answer |= {
                "changed": is_newer and freshness != held,
                "freshness": freshness and astuple(freshness),
                "fault": opened[2].fault(freshness, held),
            }
            if freshness is not None and answer["changed"]:
                stored = opened[2].popular_list(opened[1])
                answer |= {"has_list": stored.popularity is not None, "list_fault": stored.fault}
                _write(Path(question["out"]), *opened[2].catalogue(freshness.as_of), stored.popularity)
        except KuberecError as failure:
            opened, answer = None, {"error": str(failure)}  # a replaced store is opened again
        channel.write(json.dumps(answer).encode() + b"\n")


def _files(catalogue: Path) -> tuple[Path, ...]:
    """The files of an answer."""
    return catalogue, catalogue.with_suffix(HELD_SUFFIX), catalogue.with_name(POPULARITY_FILE)


def _write(out: Path, items: ItemColumns, found: npt.NDArray[np.bool_], popularity: Popularity | None) -> None:
    """Writes a catalogue, for each item whether the store has it, and the popular list if there is one.

    Raises:
        FeatureStoreError: The disk is full or not writable; no file is left.
    """
    try:
        save_items(out, items)
        np.save(out.with_suffix(HELD_SUFFIX), found)
        if popularity is not None:
            popularity.save(out.parent)
    except OSError as error:
        for file in _files(out):
            file.unlink(missing_ok=True)
        raise FeatureStoreError(f"The catalogue cannot be written to {out.parent}: {error}.") from error


def _open(bundle: Path, store: list[str]) -> tuple[str, OnlineFeatures]:
    version = Manifest.read(bundle).version
    feature_set = FeatureSet.load(bundle / FEATURE_SET)
    directory, dataset, stage, redis = store
    settings = StoreSettings(Path(directory), dataset, stage, redis)
    return version, OnlineFeatures(feature_set, load_item_ids(bundle / ITEM_IDS), settings)


main = Command("inference.feature_store.catalogue_process", __doc__, work)


if __name__ == "__main__":
    main()
