"""The record of each release: when a version was made current, and which version was served before it.

Each version has a small file, `<store>/released/<version>`, so that two concurrent releases never overwrite each
other's record. A rollback follows the records backwards from the served version.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, field_validator

from feature_repo.errors import BundleError

RELEASED = "released"
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Released(BaseModel):
    """The record of a release.

    Attributes:
        at: When the version was made current, UTC.
        before: The version that was served before; None if there was none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: AwareDatetime
    before: str | None

    @field_validator("before")
    @classmethod
    def _version(cls, before: str | None) -> str | None:
        if before is not None and not VERSION.fullmatch(before):
            raise ValueError("not a bundle version")
        return before

    @classmethod
    def now(cls, before: str | None) -> Self:
        """A release at the current time."""
        return cls(at=datetime.now(UTC), before=before)

    @classmethod
    def parse(cls, content: bytes, place: str) -> Self:
        """Parses a record.

        Args:
            content: Content of the record's file.
            place: Path of the file, for the error.

        Raises:
            BundleError: The record is damaged.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise BundleError(
                f"{place} does not say what was served before: remove it, and name the wanted version with "
                "`rollback --to`."
            ) from error

    def text(self) -> str:
        """The content of the record's file."""
        return self.model_dump_json() + "\n"
