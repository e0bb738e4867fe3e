"""For whom a drift job works, and the ledger while its lease is held."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from monitoring.ledger import Ledger, Outcome, Retraining, read_ledger, write_ledger
from monitoring.state import StateFolder
from pipelines.definitions.parameters import TrainingParameters
from pipelines.retraining.lease.lease import Lease
from pipelines.settings import PipelineSettings

LOST = "whoever ran it ended without a word, and its lease has expired"


@dataclass(frozen=True, slots=True)
class Job:
    """For whom a drift job works.

    Attributes:
        dataset: Dataset directory.
        name: Its name; finds store and log.
        parameters: Of a retraining.
        settings: Of this process.
    """

    dataset: Path
    name: str
    parameters: TrainingParameters
    settings: PipelineSettings

    @property
    def store(self) -> str:
        """The dataset's serving store."""
        return self.settings.store(self.name)

    @property
    def state(self) -> StateFolder:
        """What drift jobs leave for each other."""
        return StateFolder(self.store)


class Book:
    """The ledger while its lease is held: every change is the holder's, and is written at once.

    Args:
        state: Holds the ledger.
        lease: Held by this process.

    Attributes:
        ledger: As it stands.
    """

    def __init__(self, state: StateFolder, lease: Lease) -> None:
        self._state, self._lease = state, lease
        self.ledger = read_ledger(state)

    def start(self, entry: Retraining) -> None:
        """Enter a retraining that is about to start.

        Raises:
            LeaseLost: The lease is another's by now; nothing was written.
        """
        self._write(self.ledger.added(entry))

    def change(self, entry: Retraining) -> None:
        """Enter how one stands.

        Raises:
            LeaseLost: The lease is another's by now; nothing was written.
        """
        self._write(self.ledger.replaced(entry))

    def _write(self, ledger: Ledger) -> None:
        self._lease.require()
        write_ledger(self._state, ledger)
        self.ledger = ledger


def ended(
    entry: Retraining,
    outcome: Outcome,
    *,
    sentence: str = "",
    version: str = "",
    lost: bool = False,
    at: float | None = None,
) -> Retraining:
    """An entry as it ended.

    Args:
        entry: While it ran.
        outcome: How it ended.
        sentence: Why it ended without a release.
        version: The released bundle.
        lost: Whether whoever ran it was gone.
        at: When, unix seconds; now if None.
    """
    finished = time.time() if at is None else at
    end = {"outcome": outcome, "sentence": sentence, "version": version, "lost": lost, "finished_at": finished}
    return entry.model_copy(update=end)


def lost(entry: Retraining) -> Retraining:
    """An entry that nobody holds any more."""
    return ended(entry, "failed", sentence=LOST, lost=True)
