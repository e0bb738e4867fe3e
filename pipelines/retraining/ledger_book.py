"""The context of a drift job, and the ledger while the job holds the lease."""

from __future__ import annotations

import time
from dataclasses import dataclass

from feature_repo.dataset.place import Place
from monitoring.ledger import Ledger, Outcome, Retraining, read_ledger, write_ledger
from monitoring.state import StateFolder
from pipelines.definitions.parameters import TrainingParameters
from pipelines.retraining.lease.lease import Lease
from pipelines.settings import PipelineSettings

LOST = "The process that ran it exited without a result, and its lease expired."


@dataclass(frozen=True, slots=True)
class Job:
    """The context of a drift job.

    Attributes:
        dataset: Dataset directory or URL.
        name: Name of the dataset; determines store and log.
        parameters: Parameters of a retraining.
        settings: Settings of this process.
    """

    dataset: Place
    name: str
    parameters: TrainingParameters
    settings: PipelineSettings

    @property
    def store(self) -> str:
        """The dataset's serving store."""
        return self.settings.store(self.name)

    @property
    def state(self) -> StateFolder:
        """The files that the drift jobs of the dataset share."""
        return StateFolder(self.store)


class Book:
    """The ledger while this process holds the lease. Every change checks the lease and is written immediately.

    Args:
        state: Folder of the ledger.
        lease: The lease that this process holds.

    Attributes:
        ledger: The current ledger.
    """

    def __init__(self, state: StateFolder, lease: Lease) -> None:
        self._state, self._lease = state, lease
        self.ledger = read_ledger(state)

    def start(self, entry: Retraining) -> None:
        """Adds a retraining that is about to start.

        Raises:
            LeaseLost: This process no longer holds the lease; nothing was written.
        """
        self._write(self.ledger.added(entry))

    def change(self, entry: Retraining) -> None:
        """Replaces the entry of a retraining.

        Raises:
            LeaseLost: This process no longer holds the lease; nothing was written.
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
    """An entry with its outcome.

    Args:
        entry: The running entry.
        outcome: Outcome of the retraining.
        sentence: Why it ended without a release.
        version: The released bundle.
        lost: Whether its process or run disappeared.
        at: End, unix seconds; None for now.
    """
    finished = time.time() if at is None else at
    end = {"outcome": outcome, "sentence": sentence, "version": version, "lost": lost, "finished_at": finished}
    return entry.model_copy(update=end)


def lost(entry: Retraining) -> Retraining:
    """The entry of a retraining whose process disappeared."""
    return ended(entry, "failed", sentence=LOST, lost=True)
