"""Records the slates in the served log, which training, drift and reports read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from inference.candidates.query import Slate
from inference.log.writer import LogWriter
from inference.models.artifacts import Artifacts
from inference.recorders.protocol import Recorder


@dataclass(frozen=True)
class LogRecorder(Recorder):
    """Passes slates to the log's writer, which counts slates that do not fit into its queue."""

    writer: LogWriter

    name: ClassVar[str] = "log"

    def __call__(self, slates: Sequence[Slate], artifacts: Artifacts) -> None:
        """Queues the slates for the next flush."""
        self.writer.record(slates, artifacts)
