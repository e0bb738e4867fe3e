"""The protocol of recorders: a recorder stores answered slates. A failure never reaches the client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from inference.candidates.query import Slate
from inference.models.artifacts import Artifacts


class Recorder(Protocol):
    """Accepts finished slates; it returns at once and works in the background.

    Attributes:
        name: Stage name in timings, and the mark in `degraded` if the recorder fails.
    """

    name: ClassVar[str]

    def __call__(self, slates: Sequence[Slate], artifacts: Artifacts, /) -> None:
        """Stores slates that were made from these artifacts."""

    def applies(self, slate: Slate, /) -> bool:  # noqa: ARG002
        """Returns whether a slate is stored."""
        return True
