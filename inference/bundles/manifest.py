"""What a bundle says of itself: its files with checksums, and what a reader must know before trusting it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, field_validator

from feature_repo.errors import BundleError
from feature_repo.storage.files import list_files, sha256

MANIFEST_FILE = "manifest.json"
FORMAT = 1


class Facts(BaseModel):
    """What the release knows of a bundle and the files do not show.

    Attributes:
        dataset: Name of the dataset.
        fingerprint: Of the dataset's source files.
        code_version: Of the code that made it.
        stage: Stage of the features; with dataset and feature hash it names the online store's keys.
        log_end: Latest event of the log, unix seconds.
        weights_until: Time up to which weights were fitted, unix seconds; the latest of all models'.
        ranker_until: The same of the ranker, whose rows need towers fitted on earlier events.
        features_as_of: Time as of which features, neighbours and popularity were taken, unix seconds.
        refitted: Whether the towers were fitted again after they were measured.
        metrics: Offline figures, as measured.
        evidence: weak where too few users could be tested.
        gate: passed, or warn where the owner released it against the gate.
        cause: Why it was trained, where drift started it; "" where a person or a schedule did.
        reference_days: Last days of the log that the drift reference was to replay, 0 where none was asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    fingerprint: str
    code_version: str
    stage: str = "final"
    log_end: float
    weights_until: float
    ranker_until: float
    features_as_of: float
    refitted: bool = False
    metrics: dict[str, Any] = {}
    evidence: Literal["strong", "weak"] = "strong"
    gate: Literal["passed", "warn"] = "passed"
    cause: str = ""
    reference_days: int = 0


class File(BaseModel):
    """One file of a bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    num_bytes: int


class Manifest(BaseModel):
    """`manifest.json`.

    Attributes:
        format: Version of the bundle layout.
        version: Name of the bundle, sortable by time of making.
        created_at: RFC 3339, UTC.
        feature_set_hash: Of `feature_set.json`.
        num_items: Size of the row map.
        facts: See `Facts`.
        files: Path within the bundle -> checksum; every file but the manifest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    version: str
    created_at: str
    feature_set_hash: str
    num_items: int
    facts: Facts
    files: dict[str, File]

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, File]) -> dict[str, File]:
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or name == MANIFEST_FILE:
                raise ValueError(f"{name!r} does not name a file inside the bundle")
        return files

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Reads a bundle's manifest.

        Raises:
            BundleError: If it is missing, damaged, or of a layout this code does not know.
        """
        path = directory / MANIFEST_FILE
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise BundleError(f"{directory} is no bundle: it has no {MANIFEST_FILE}.") from error
        except OSError as error:
            raise BundleError(f"The manifest {path} cannot be read: {_first_line(error)}") from error
        return cls.parse(content, str(directory))

    @classmethod
    def parse(cls, content: bytes, bundle: str) -> Self:
        """The manifest in the content of its file.

        Args:
            content: Of the file.
            bundle: Directory or URL of the bundle, for the error.

        Raises:
            BundleError: If it is damaged, or of a layout this code does not know.
        """
        try:
            manifest = cls.model_validate_json(content.decode("utf-8"))
        except ValueError as error:
            raise BundleError(f"The manifest {bundle}/{MANIFEST_FILE} cannot be read: {_first_line(error)}") from error
        if manifest.format != FORMAT:
            raise BundleError(f"The bundle {bundle} has layout {manifest.format}, this code reads {FORMAT}.")
        return manifest

    def verify(self, directory: Path) -> None:
        """Compares every file with its checksum.

        Raises:
            BundleError: If a file is missing, changed, or not named by the manifest.
        """
        present = {name for name in list_files(directory) if name != MANIFEST_FILE}
        for name in sorted(present - set(self.files)):
            raise BundleError(f"The bundle {self.version} holds {name}, which its manifest does not name.")
        for name, file in self.files.items():
            if name not in present:
                raise BundleError(f"The bundle {self.version} lacks {name}: publish it again.")
            if sha256(directory / name) != file.sha256:
                raise BundleError(f"The bundle {self.version} is damaged: {name} does not have its checksum.")

    def created(self) -> float:
        """Unix seconds of the making."""
        return datetime.fromisoformat(self.created_at).timestamp()


def describe(directory: Path) -> dict[str, File]:
    """Checksums of every file below a directory."""
    return {
        name: File(sha256=sha256(directory / name), num_bytes=(directory / name).stat().st_size)
        for name in list_files(directory)
    }


def new_version(files: dict[str, File], now: datetime | None = None) -> str:
    """A version name: the time of making to the second, and a digest of the content."""
    content = "".join(f"{name}\0{file.sha256}\n" for name, file in sorted(files.items()))
    moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%S")
    return f"{moment}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
