"""The manifest of a bundle: its files with checksums, and the facts of the release."""

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
    """Facts about the release that the bundle's files do not show.

    Attributes:
        dataset: Name of the dataset.
        fingerprint: Fingerprint of the dataset's source files.
        code_version: Version of the code that made the bundle.
        stage: Stage of the features; together with dataset and feature hash it forms the online store's keys.
        log_end: Latest event of the log, unix seconds.
        weights_until: Time up to which weights were fitted, unix seconds; the latest over all models.
        ranker_until: The same for the ranker, whose rows need towers that were fitted on earlier events.
        features_as_of: Time as of which features, neighbours and popularity were computed, unix seconds.
        refitted: Whether the towers were fitted again after their evaluation.
        metrics: Offline metrics.
        evidence: weak if the evaluation had too few users, or if a gap to popular could be chance.
        order: The served order: `ranker` for a model, `fusion` for the learned fusion of sources, or the source that
            alone decides the order.
        gate: passed, or warn if the owner released the bundle although the gate failed.
        cause: The drift that started the training; "" if a person or a schedule started it.
        reference_days: Number of last days of the log that the drift reference replays, 0 if none was requested.
        read_at: Wall time at which the dataset was read, unix seconds; 0 if unknown.
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
    order: str = "ranker"
    gate: Literal["passed", "warn"] = "passed"
    cause: str = ""
    reference_days: int = 0
    read_at: float = 0.0


class File(BaseModel):
    """One file of a bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    num_bytes: int


class Manifest(BaseModel):
    """`manifest.json`.

    Attributes:
        format: Version of the bundle layout.
        version: Name of the bundle; names sort by creation time.
        created_at: RFC 3339, UTC.
        feature_set_hash: Hash of `feature_set.json`.
        num_items: Size of the row map.
        facts: See `Facts`.
        files: Path within the bundle -> checksum, for every file except the manifest.
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
            BundleError: If the manifest is missing or damaged, or has an unknown layout.
        """
        path = directory / MANIFEST_FILE
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise BundleError(f"{directory} is not a bundle: it has no {MANIFEST_FILE}.") from error
        except OSError as error:
            raise BundleError(f"The manifest {path} cannot be read: {_first_line(error)}.") from error
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
            raise BundleError(f"The manifest {bundle}/{MANIFEST_FILE} cannot be read: {_first_line(error)}.") from error
        if manifest.format != FORMAT:
            raise BundleError(f"The bundle {bundle} has layout {manifest.format}, but this code reads {FORMAT}.")
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
        """Returns the creation time, unix seconds."""
        return datetime.fromisoformat(self.created_at).timestamp()


def describe(directory: Path) -> dict[str, File]:
    """Returns the checksum of every file below a directory."""
    return {
        name: File(sha256=sha256(directory / name), num_bytes=(directory / name).stat().st_size)
        for name in list_files(directory)
    }


def new_version(files: dict[str, File], now: datetime | None = None) -> str:
    """Returns a version name: the current time to the second, and a digest of the content."""
    content = "".join(f"{name}\0{file.sha256}\n" for name, file in sorted(files.items()))
    moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%S")
    return f"{moment}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
