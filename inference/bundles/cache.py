"""Copies of remote bundles on a local disk, which several processes may share.

A copy appears as a whole, after its files are verified. The cache keeps a limited number of copies and removes damaged
copies.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from feature_repo.errors import BundleError
from inference.bundles.bundle import Bundle, open_bundle
from inference.bundles.manifest import MANIFEST_FILE
from inference.bundles.release_record import VERSION

KEPT = 4  # number of copies; the most recently used stay
BUILDING = re.compile(r"\..+\.[0-9a-f]{8}")  # name of an incomplete copy
ABANDONED_SECONDS = 3600.0


@dataclass(frozen=True)
class BundleCache:
    """The copies in a directory.

    Attributes:
        directory: Directory of the copies, which need not exist; other content in it is kept.
    """

    directory: Path

    def find(self, version: str) -> Bundle | None:
        """The copy of a version; None if there is no copy. A damaged copy is removed."""
        local = self.directory / version
        if not local.is_dir():
            return None
        try:
            os.utime(local)
            return open_bundle(local)
        except (BundleError, FileNotFoundError):
            shutil.rmtree(local, ignore_errors=True)
            return None

    def keep(self, version: str) -> None:
        """Marks a copy as in use; does nothing if there is no copy."""
        with suppress(OSError):  # the next poll marks the copy again
            os.utime(self.directory / version)

    def add(self, version: str, fill: Callable[[Path], None]) -> Bundle:
        """Adds the copy of a version, and removes old copies.

        Args:
            version: Version of the bundle.
            fill: Writes the bundle's files to a folder.

        Raises:
            BundleError: The files are damaged.
            OSError: The disk is full or not writable.
        """
        local = self.directory / version
        building = local.with_name(f".{version}.{uuid4().hex[:8]}")
        building.mkdir(parents=True)
        try:
            fill(building)
            open_bundle(building)
            try:
                building.rename(local)
            except OSError:
                if not local.is_dir():  # otherwise another process was faster, with the same bundle
                    raise
        finally:
            shutil.rmtree(building, ignore_errors=True)
        self._prune()
        return open_bundle(local, verify=False)

    def _prune(self) -> None:
        """Removes old copies, and incomplete copies of killed processes, because both would fill the disk."""
        copies = []
        for path in self.directory.iterdir():
            with suppress(FileNotFoundError):  # removed by another process at the same time
                changed = path.stat().st_mtime
                if VERSION.fullmatch(path.name) and (path / MANIFEST_FILE).is_file():
                    copies.append((changed, path))
                elif BUILDING.fullmatch(path.name) and time.time() - changed > ABANDONED_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)
        for _, path in sorted(copies)[:-KEPT]:
            shutil.rmtree(path, ignore_errors=True)
