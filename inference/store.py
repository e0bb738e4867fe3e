"""The bundle store: published bundles and which of them is served, in a local directory or on s3:// (fsspec).

    <store>/bundles/<version>/...      immutable, complete once its manifest is there
    <store>/current                    the version served, replaced atomically
    <store>/previous                   the version served before, for one-step rollback

It refuses to make a version current that it does not hold, and never changes a published bundle.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec

from feature_repo.errors import BundleError
from feature_repo.files import write_text
from inference.bundle import Bundle, open_bundle, sync_tree
from inference.manifest import MANIFEST_FILE, Manifest, list_files

VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class BundleStore:
    """One dataset's bundles.

    Attributes:
        url: A local directory or a URL fsspec knows.
        cache: Local directory for copies of remote bundles; unused by a local store.
    """

    url: str
    cache: Path | None = None

    def publish(self, bundle: Bundle) -> None:
        """Copies a bundle into the store; it is not served by that.

        Raises:
            BundleError: If the copy fails half-way (the store then lacks the manifest and ignores the rest).
        """
        if bundle.version in self.versions():
            return
        target = self._path("bundles", bundle.version)
        if self._is_local:
            building = Path(target).with_name(f".{bundle.version}.{uuid4().hex[:8]}")
            try:
                shutil.copytree(bundle.path, building)
                sync_tree(building)
                building.rename(target)
            except OSError as error:
                raise BundleError(f"The bundle {bundle.version} cannot be published to {self.url}: {error}") from error
            finally:
                shutil.rmtree(building, ignore_errors=True)
            return
        names = [name for name in list_files(bundle.path) if name != MANIFEST_FILE]
        try:
            for name in [*names, MANIFEST_FILE]:  # the manifest last: without it the bundle is not there
                self._fs.put_file(str(bundle.path / name), posixpath.join(target, name))
        except OSError as error:
            raise BundleError(f"The bundle {bundle.version} cannot be published to {self.url}: {error}") from error

    def versions(self) -> list[str]:
        """Published versions, oldest first."""
        folder = self._path("bundles")
        self._fs.invalidate_cache()
        if not self._fs.isdir(folder):
            return []
        names = (posixpath.basename(str(path).rstrip("/")) for path in self._fs.ls(folder, detail=False))
        return sorted(
            name
            for name in names
            if VERSION.fullmatch(name) and self._fs.exists(posixpath.join(folder, name, MANIFEST_FILE))
        )

    def current(self) -> str | None:
        """The version served, None before the first release.

        Raises:
            BundleError: If the store cannot be read, or `current` does not name a version.
        """
        return self._read("current")

    def previous(self) -> str | None:
        """The version served before the current one, None if there was none."""
        return self._read("previous")

    def set_current(self, version: str) -> None:
        """Serves a version from now on.

        Raises:
            BundleError: If the store does not hold it.
        """
        if version not in self.versions():
            raise BundleError(f"The store {self.url} does not hold bundle {version}: publish it first.")
        served = self.current()
        if served == version:
            return
        if served is not None:
            self._write("previous", served)
        self._write("current", version)

    def rollback(self) -> str:
        """Serves the version that was served before, and returns it.

        Raises:
            BundleError: If there is none.
        """
        version = self.previous()
        if version is None:
            raise BundleError(f"The store {self.url} has no earlier bundle to go back to.")
        self.set_current(version)
        return version

    def fetch(self, version: str) -> Bundle:
        """Opens a published bundle, copied here first if the store is remote.

        Raises:
            BundleError: If the store does not hold it, or it is damaged.
        """
        if not VERSION.fullmatch(version):
            raise BundleError(f"{version!r} is no bundle version.")
        if self._is_local:
            return open_bundle(Path(self._path("bundles", version)))
        if self.cache is None:
            raise BundleError(f"Bundles of {self.url} need a local folder to be copied to: set KUBEREC_CACHE.")
        local = self.cache / version
        if not (local / MANIFEST_FILE).is_file():
            self._download(version, local)
        return open_bundle(local)

    def _download(self, version: str, local: Path) -> None:
        source = self._path("bundles", version)
        building = local.with_name(f".{version}.{uuid4().hex[:8]}")
        building.mkdir(parents=True)
        try:
            self._fs.get_file(posixpath.join(source, MANIFEST_FILE), str(building / MANIFEST_FILE))
            for name in Manifest.read(building).files:
                (building / name).parent.mkdir(parents=True, exist_ok=True)
                self._fs.get_file(posixpath.join(source, name), str(building / name))
            shutil.rmtree(local, ignore_errors=True)
            building.rename(local)
        except OSError as error:
            raise BundleError(f"The bundle {version} cannot be fetched from {self.url}: {error}") from error
        finally:
            shutil.rmtree(building, ignore_errors=True)

    def _read(self, name: str) -> str | None:
        path = self._path(name)
        try:
            self._fs.invalidate_cache()
            text: str = self._fs.cat_file(path).decode("utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BundleError(f"{path} cannot be read: {error}") from error
        version = text.strip()
        if not VERSION.fullmatch(version):
            raise BundleError(f"{path} does not name a bundle version: {text[:80]!r}.")
        return version

    def _write(self, name: str, version: str) -> None:
        path = self._path(name)
        if self._is_local:
            write_text(path, version + "\n")
        else:
            self._fs.pipe_file(path, f"{version}\n".encode())  # an object is replaced as a whole

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        try:
            filesystem, path = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise BundleError(f"The store {self.url} cannot be opened: {error}") from error
        return filesystem, str(path)

    @property
    def _fs(self) -> Any:
        return self._opened[0]

    @property
    def _is_local(self) -> bool:
        return "file" in (self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,))

    def _path(self, *parts: str) -> str:
        return posixpath.join(self._opened[1], *parts)
