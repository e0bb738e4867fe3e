"""Copies of remote bundles on a local disk, which processes may share.

Owns that a copy appears as a whole, once its files are checked, and how many are kept. Refuses damaged ones.
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

KEPT = 4  # copies: those asked for last
BUILDING = re.compile(r"\..+\.[0-9a-f]{8}")  # a copy that is being made
ABANDONED_SECONDS = 3600.0


@dataclass(frozen=True)
class BundleCache:
    """The copies in a directory.

    Attributes:
        directory: Need not exist; what else lies there stays.
    """

    directory: Path

    def find(self, version: str) -> Bundle | None:
        """The copy of a version, None where there is none; one that went bad is removed."""
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
        """Says that a copy is in use; nothing where there is none."""
        with suppress(OSError):  # the next look says it again
            os.utime(self.directory / version)

    def add(self, version: str, fill: Callable[[Path], None]) -> Bundle:
        """Makes the copy of a version, and makes room for it.

        Args:
            version: Of the bundle.
            fill: Brings the bundle's files into a folder.

        Raises:
            BundleError: They are damaged.
            OSError: The disk is full or closed.
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
                if not local.is_dir():  # else another process was faster, with the same bundle
                    raise
        finally:
            shutil.rmtree(building, ignore_errors=True)
        self._prune()
        return open_bundle(local, verify=False)

    def _prune(self) -> None:
        """Removes all copies but the last, and what killed processes began: both would fill the disk."""
        copies = []
        for path in self.directory.iterdir():
            with suppress(FileNotFoundError):  # removed by another process that prunes
                changed = path.stat().st_mtime
                if VERSION.fullmatch(path.name) and (path / MANIFEST_FILE).is_file():
                    copies.append((changed, path))
                elif BUILDING.fullmatch(path.name) and time.time() - changed > ABANDONED_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)
        for _, path in sorted(copies)[:-KEPT]:
            shutil.rmtree(path, ignore_errors=True)
