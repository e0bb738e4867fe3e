"""What a recorder is: it keeps what was answered. A failure never reaches the client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from inference.candidates.query import Slate
from inference.models.artifacts import Artifacts


class Recorder(Protocol):
    """Takes finished slates; returns at once and works in the background.

    Attributes:
        name: Stage name in timings, and what `degraded` says where it failed.
    """

    name: ClassVar[str]

    def __call__(self, slates: Sequence[Slate], artifacts: Artifacts, /) -> None:
        """Keeps slates that were answered from artifacts."""

    def applies(self, slate: Slate, /) -> bool:  # noqa: ARG002
        """Whether a slate is to be kept."""
        return True
