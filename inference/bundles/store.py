"""The bundle store: published bundles and the served version, in a local directory or on s3:// (fsspec).

    <store>/bundles/<version>/...      immutable, complete once its manifest exists
    <store>/current                    the served version, replaced atomically
    <store>/released/<version>         time of release and previously served version (`release_record.py`)

A rollback writes only `current`. The records still name the version that was served before the older version, so a
second rollback goes one release further back. A version that the store lacks cannot be made current, and a published
bundle never changes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from feature_repo.errors import BundleError, StorageError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.storage.folder import Folder, local_path, open_folder
from inference.bundles.bundle import FEATURE_SET, ITEM_IDS, Bundle, open_bundle
from inference.bundles.cache import BundleCache
from inference.bundles.leftovers import is_abandoned
from inference.bundles.manifest import MANIFEST_FILE, Manifest
from inference.bundles.release_record import RELEASED, VERSION, Released
from inference.models.popularity import POPULARITY_FILE, Popularity
from inference.models.snapshot import load_item_ids

BUNDLES = "bundles"
DEFAULT_CACHE = Path(tempfile.gettempdir()) / "kuberec-bundles"


@dataclass(frozen=True)
class BundleStore:
    """The bundles of a dataset.

    Attributes:
        url: A local directory or a URL that fsspec supports.
        cache: Local directory for copies of remote bundles, which processes may share; not used by a local store.
    """

    url: str
    cache: Path = DEFAULT_CACHE

    def publish(self, bundle: Bundle) -> None:
        """Copies a bundle into the store without making it current.

        Raises:
            BundleError: The copy failed. The store then lacks the manifest and ignores the other files.
        """
        if self._holds(bundle.version):
            return
        with self._doing(f"The bundle {bundle.version} cannot be published"):
            # The manifest is written last, because readers ignore a bundle without a manifest.
            self._folder.add(bundle.path, _place(bundle.version), last=MANIFEST_FILE)

    def versions(self) -> list[str]:
        """Published versions, oldest first.

        Raises:
            BundleError: The store cannot be read.
        """
        with self._doing("Its bundles cannot be listed"):
            names = self._folder.names(BUNDLES)
        return [name for name in names if VERSION.fullmatch(name) and self._holds(name)]

    def current(self) -> str | None:
        """The served version; None before the first release.

        Raises:
            BundleError: The store cannot be read, or `current` does not name a version.
        """
        content = self._content("current")
        if content is None:
            return None
        version = content.decode("utf-8", errors="replace").strip()
        if not VERSION.fullmatch(version):
            raise BundleError(f"{self.url}/current does not name a bundle version: {version[:80]!r}.")
        return version

    def previous(self) -> str | None:
        """The version that was served before the current version and that the store still holds; None if there is none.

        Raises:
            BundleError: The store cannot be read, or a release record is damaged.
        """
        served = self.current()
        return None if served is None else next(self._before(served), None)

    def released(self, version: str) -> Released | None:
        """The record of a version's release; None if the version was never released.

        Raises:
            BundleError: The store cannot be read, or the record is damaged.
        """
        name = f"{RELEASED}/{version}"
        content = self._content(name)
        return None if content is None else Released.parse(content, f"{self.url}/{name}")

    def set_current(self, version: str) -> None:
        """Makes a version current.

        A version that was served before the current version is a rollback; any other version is a new release.

        Raises:
            BundleError: The store does not hold the version, or cannot be read.
        """
        if not self._holds(version):
            raise BundleError(f"The store {self.url} does not hold bundle {version}: publish it first.")
        self.manifest(version)
        served = self.current()
        if served == version:
            return
        if served is None or self.released(version) is None or version not in self._before(served):
            # The record is written first, so that an interruption leaves the served version and its history unchanged.
            self._write(f"{RELEASED}/{version}", Released.now(served).text())
        self._write("current", version + "\n")

    def rollback(self) -> str:
        """Makes the previously served version current and returns it; a second call goes one release further back.

        If another process releases at the same time, the last write of `current` counts.

        Raises:
            BundleError: There is no previous version, or the store cannot be read.
        """
        version = self.previous()
        if version is None:
            raise BundleError(f"The store {self.url} has no earlier bundle to go back to.")
        self.manifest(version)
        self._write("current", version + "\n")
        return version

    def prune(self, keep: int) -> list[str]:
        """Removes old bundles and folders that a killed process left half written or half removed; returns their names.

        The served bundle, the bundle before it and the newest bundles stay. The records of releases stay too, so that
        rollbacks still find their way.

        Args:
            keep: Number of newest bundles that stay in any case, at least 1.

        Raises:
            BundleError: The store cannot be read, its `current` is lost, or a bundle cannot be removed.
        """
        versions, served = self.versions(), self.current()
        if versions and served is None:  # running servers still serve one of them
            raise BundleError(
                f"The store {self.url} has bundles but no `current`, so the served bundle is unknown and none is "
                "removed: make one current (`python -m components.release rollback --to VERSION`)."
            )
        kept = {served, self.previous(), *versions[-max(keep, 1) :]}
        unused = [version for version in versions if version not in kept] + self._leftovers(kept)
        for version in unused:
            with self._doing(f"The bundle {version} cannot be removed"):
                self._folder.remove(_place(version), first=MANIFEST_FILE)
        return unused

    def fetch(self, version: str) -> Bundle:
        """Opens a published bundle; a bundle of a remote store is copied to the cache first.

        Raises:
            BundleError: The store does not hold the bundle, or the bundle is damaged.
        """
        if not VERSION.fullmatch(version):
            raise BundleError(f"{version!r} is not a bundle version.")
        directory = local_path(self.url)
        bundle = self._cached(version) if directory is None else open_bundle(directory / _place(version))
        if bundle.version != version:  # servers would wait for this name and answer under the other name
            raise BundleError(f"The bundle {version} of {self.url} is a copy of {bundle.version}: name that version.")
        return bundle

    def keep(self, version: str) -> None:
        """Marks a fetched bundle as in use, so that the cache keeps its copy; must be repeated regularly."""
        if local_path(self.url) is None:
            BundleCache(self.cache).keep(version)

    def manifest(self, version: str) -> Manifest:
        """The manifest of a published bundle; no other file is copied or verified.

        Raises:
            BundleError: The store does not hold the bundle, or its manifest cannot be read.
        """
        return self._parsed(version, self._manifest_content(version))

    def feature_set(self, version: str) -> FeatureSet:
        """The feature set of a published bundle; no other file is copied.

        Raises:
            BundleError: The store does not hold the bundle, or its feature set is unreadable or not the manifest's.
        """
        manifest = self.manifest(version)
        with (
            self._doing(f"The feature set of bundle {version} cannot be read"),
            self._folder.local(_place(version), [FEATURE_SET]) as directory,
        ):
            found = FeatureSet.load(directory / FEATURE_SET)
        if found.hash != manifest.feature_set_hash:
            raise BundleError(f"The bundle {version} is damaged: {FEATURE_SET} is not the one its manifest names.")
        return found

    def popular_list(self, version: str) -> tuple[npt.NDArray[np.object_], Popularity]:
        """The row map and the popular list of a published bundle; no other file is copied.

        Raises:
            BundleError: The store does not hold the bundle, or one of the files is unreadable.
        """
        with (
            self._doing(f"The popular list of bundle {version} cannot be read"),
            self._folder.local(_place(version), [ITEM_IDS, POPULARITY_FILE]) as directory,
        ):
            return load_item_ids(directory / ITEM_IDS), Popularity.load(directory)

    def _leftovers(self, kept: set[str | None]) -> list[str]:
        """Names of folders that no reader sees and no process writes to any more."""
        with self._doing("Its bundles cannot be listed"):
            names = self._folder.names(BUNDLES)
            hidden = [name for name in names if name not in kept and not self._holds(name)]
            return [
                name for name in hidden if is_abandoned(name, was_released=self._folder.holds(f"{RELEASED}/{name}"))
            ]

    def _cached(self, version: str) -> Bundle:
        """The copy in the cache; a missing copy is added first."""

        def fill(directory: Path) -> None:
            content = self._manifest_content(version)
            manifest = self._parsed(version, content)
            (directory / MANIFEST_FILE).write_bytes(content)
            self._folder.download(_place(version), list(manifest.files), directory)

        cache = BundleCache(self.cache)
        found = cache.find(version)
        if found is not None:
            return found
        with self._doing(f"The bundle {version} cannot be fetched"):
            return cache.add(version, fill)

    def _manifest_content(self, version: str) -> bytes:
        with self._doing(f"The manifest of bundle {version} cannot be read"):
            content = self._folder.read(f"{_place(version)}/{MANIFEST_FILE}")
        if content is None:
            raise BundleError(f"The store {self.url} does not hold bundle {version}.")
        return content

    def _parsed(self, version: str, content: bytes) -> Manifest:
        return Manifest.parse(content, f"{self.url}/{_place(version)}")

    def _holds(self, version: str) -> bool:
        if not VERSION.fullmatch(version):
            return False
        with self._doing(f"The store cannot be searched for bundle {version}"):
            return self._folder.holds(f"{_place(version)}/{MANIFEST_FILE}")

    def _before(self, version: str) -> Iterator[str]:
        """Versions served before a version, latest first; versions that the store no longer holds are skipped."""
        seen = {version}
        while (record := self.released(version)) is not None and record.before is not None:
            version = record.before
            if version in seen:  # two processes released each other's version at the same time
                return
            seen.add(version)
            if self._holds(version):
                yield version

    def _content(self, name: str) -> bytes | None:
        with self._doing(f"`{name}` cannot be read"):
            return self._folder.read(name)

    def _write(self, name: str, text: str) -> None:
        with self._doing(f"`{name}` cannot be written"):
            self._folder.write(name, text.encode())

    @contextmanager
    def _doing(self, failure: str) -> Iterator[None]:
        """Turns errors of the storage into a BundleError that says what failed, where and why."""
        try:
            yield
        except StorageError as error:  # its sentence names the place
            raise BundleError(f"{failure}: {error}") from error
        except OSError as error:
            raise BundleError(f"{failure}: {self.url}: {error}.") from error

    @cached_property
    def _folder(self) -> Folder:
        return open_folder(self.url)


def _place(version: str) -> str:
    """The folder of a bundle below the store."""
    return f"{BUNDLES}/{version}"
