"""What a store remembers of each release: when a version was made current, and what was served before it.

One small file a version, `<store>/released/<version>`, so that two releases at a time never overwrite each other's
record. Read backwards from the served version the records are the way a rollback goes.
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
    """One release.

    Attributes:
        at: When it was made current, UTC.
        before: The version served until then, None where there was none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: AwareDatetime
    before: str | None

    @field_validator("before")
    @classmethod
    def _version(cls, before: str | None) -> str | None:
        if before is not None and not VERSION.fullmatch(before):
            raise ValueError("no bundle version")
        return before

    @classmethod
    def now(cls, before: str | None) -> Self:
        """A release of this moment."""
        return cls(at=datetime.now(UTC), before=before)

    @classmethod
    def parse(cls, content: bytes, place: str) -> Self:
        """Reads a record.

        Args:
            content: Of its file.
            place: Where that is, for the error.

        Raises:
            BundleError: If it is damaged.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise BundleError(
                f"{place} does not say what was served before: remove it, and name the wanted version with "
                "`rollback --to`."
            ) from error

    def text(self) -> str:
        """What its file holds."""
        return self.model_dump_json() + "\n"
