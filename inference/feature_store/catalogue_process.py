"""Reads the whole catalogue from the online store in a process beside the server, whenever it was refreshed.

Reading every item takes seconds of pure Python for thousands of them, during which requests in the same interpreter
wait. The process is started when it is first asked, has a low priority, keeps its connection, writes the snapshot as
a file (`models/snapshot.py`), and ends when the server does. One line of JSON asks, one line answers; where the record
of freshness is the one of the catalogue in use, the answer is just that.

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
from dataclasses import astuple, dataclass
from io import RawIOBase
from pathlib import Path
from typing import Any, TextIO, cast

from feature_repo.command import Command
from feature_repo.errors import FeatureStoreError, KuberecError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import ItemColumns
from inference.bundles.bundle import FEATURE_SET, ITEM_IDS
from inference.feature_store import Freshness, OnlineFeatures, StoreSettings
from inference.models.snapshot import load_item_ids, load_items, save_items

NICENESS = 10
END_SECONDS = 1.0  # it has nothing to lose: what it writes is read only after its answer


@dataclass(frozen=True)
class CatalogueKey:
    """Which catalogue: that of a bundle's feature set and row map, in an online store.

    Attributes:
        bundle: Directory of the bundle.
        store: Where its features live.
    """

    bundle: Path
    store: StoreSettings


@dataclass(frozen=True)
class Reading:
    """A catalogue as it was read.

    Attributes:
        items: The catalogue.
        freshness: When its values were computed, None where the store does not say.
    """

    items: ItemColumns
    freshness: Freshness | None = None


class CatalogueProcess:
    """The server's side. One question at a time; others wait."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()

    def read(self, key: CatalogueKey, time: float, now: Reading, feature_set: FeatureSet) -> Reading:
        """The catalogue as the store has it; the one in use where it was not refreshed since.

        Args:
            key: Which catalogue.
            time: Unix seconds up to which ages count where the store does not say as of when its values are.
            now: The catalogue in use; its row map is shared.
            feature_set: Of the bundle.

        Raises:
            FeatureStoreError: The store cannot be read, or the process ended.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            assert self._process is not None
            assert self._folder is not None
            path = Path(self._folder.name) / "items.npz"
            question = {
                "bundle": str(key.bundle),
                "store": [str(key.store.directory), key.store.dataset, key.store.stage, key.store.redis],
                "time": time,
                "held": None if now.freshness is None else astuple(now.freshness),
                "out": str(path),
            }
            answer = self._ask(self._process, json.dumps(question))
            if answer["error"]:
                raise FeatureStoreError(answer["error"])
            if not answer["changed"]:
                return now
            freshness = None if answer["freshness"] is None else Freshness(*answer["freshness"])
            items = load_items(path, now.items.item_ids, feature_set)
            path.unlink()  # or a killed server would leave it
            return Reading(items, freshness)

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
            start_new_session=True,  # a Ctrl-C is for the server, which then ends it
        )

    def _ask(self, process: subprocess.Popen[str], question: str) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(question + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except (OSError, ValueError) as error:
            return {"error": f"The process that reads the catalogue is gone: {error}"}
        if not answer:
            return {"error": "The process that reads the catalogue ended."}
        return cast(dict[str, Any], json.loads(answer))


def _end(process: subprocess.Popen[str]) -> None:
    """The process ends with its input; one that reads on is killed."""
    try:
        process.communicate(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def work(_options: argparse.Namespace) -> None:
    """The process's side: answers until its input ends."""
    # Libraries may print; the answers have a channel of their own, without a buffer that is flushed at the end.
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    os.nice(NICENESS)
    with contextlib.suppress(BrokenPipeError):  # the server was killed while this process read: nobody wants the answer
        _answer(sys.stdin, channel)


def _answer(questions: TextIO, channel: RawIOBase) -> None:
    opened: tuple[list[str], FeatureSet, OnlineFeatures] | None = None
    for line in questions:
        question = json.loads(line)
        answer: dict[str, Any] = {"error": ""}
        try:
            name = [question["bundle"], *question["store"]]
            if opened is None or opened[0] != name:
                opened = (name, *_open(Path(question["bundle"]), question["store"]))
            # Asked before the items: those that a refresh replaces meanwhile are read again.
            freshness = opened[2].freshness()
            held = question["held"] and Freshness(*question["held"])
            answer |= {
                "changed": freshness is None or freshness != held,
                "freshness": freshness and astuple(freshness),
            }
            if answer["changed"]:
                time = freshness.as_of if freshness else question["time"]
                save_items(Path(question["out"]), opened[2].items(time))
        except KuberecError as failure:
            opened, answer = None, {"error": str(failure)}  # a store that was replaced is opened anew
        channel.write(json.dumps(answer).encode() + b"\n")


def _open(bundle: Path, store: list[str]) -> tuple[FeatureSet, OnlineFeatures]:
    feature_set = FeatureSet.load(bundle / FEATURE_SET)
    directory, dataset, stage, redis = store
    settings = StoreSettings(Path(directory), dataset, stage, redis)
    return feature_set, OnlineFeatures(feature_set, load_item_ids(bundle / ITEM_IDS), settings)


main = Command("inference.feature_store.catalogue_process", __doc__, work)


if __name__ == "__main__":
    main()
