"""The ledger of retrainings that drift started, with cause and outcome: `<store>/monitoring/ledger.json`.

Only the holder of the retraining lease (`pipelines/retraining/lease/`) writes the ledger, so no update is lost. Any
process may read it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from feature_repo.errors import StorageError
from monitoring.state import StateFolder

LEDGER_FILE = "ledger.json"

Outcome = Literal["running", "released", "refused", "failed"]


class Retraining(BaseModel):
    """One training that drift started.

    Attributes:
        key: Idempotency key, see `retraining_key`.
        bundle: Version of the bundle that was served in the drifted window.
        window_start: Start of the window (exclusive), unix seconds of the log.
        window_end: End of the window (inclusive), unix seconds of the log.
        cause: Why it was started, one sentence.
        started_at: Wall clock, unix seconds.
        finished_at: Wall clock, unix seconds; None while it runs.
        outcome: `released`, `refused` by the data or release gate, `failed` for any other end, `running` until then.
        version: The released bundle, "" otherwise.
        sentence: Why it was refused or failed, "" otherwise.
        run_id: Id of the run in the cluster; "" for a run on one machine.
        lost: Whether it failed because its process disappeared. A lost try does not count: the next one may succeed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    bundle: str
    window_start: float
    window_end: float
    cause: str
    started_at: float
    finished_at: float | None = None
    outcome: Outcome = "running"
    version: str = ""
    sentence: str = ""
    run_id: str = ""
    lost: bool = False


class DriftAnswer(BaseModel):
    """How a drift job answered its report; `drift.json` and the page show it.

    Attributes:
        retrain: Whether the job started a retraining.
        sentence: The reason for or against.
        latest: State of the latest retraining when the job ended; None before the first. A refused or failed
            retraining is shown as long as the bundle that it should have replaced is served.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    retrain: bool
    sentence: str
    latest: Retraining | None = None


class Ledger(BaseModel):
    """All retrainings of a dataset.

    Attributes:
        retrainings: Oldest first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    retrainings: tuple[Retraining, ...] = ()

    def latest(self) -> Retraining | None:
        """The retraining that started last."""
        return self.retrainings[-1] if self.retrainings else None

    def running(self) -> Retraining | None:
        """The running retraining, or None."""
        return next((one for one in reversed(self.retrainings) if one.outcome == "running"), None)

    def answering(self, key: str) -> Retraining | None:
        """The retraining that answers this key; a lost try does not count."""
        return next((one for one in self.retrainings if one.key == key and not one.lost), None)

    def last_try(self) -> Retraining | None:
        """The latest retraining that was not lost; the cooldown starts with it."""
        return next((one for one in reversed(self.retrainings) if not one.lost), None)

    def last_of(self, outcome: Outcome) -> Retraining | None:
        """The latest retraining with this outcome."""
        return next((one for one in reversed(self.retrainings) if one.outcome == outcome), None)

    def added(self, retraining: Retraining) -> Ledger:
        """A ledger with one more entry."""
        return Ledger(retrainings=(*self.retrainings, retraining))

    def replaced(self, retraining: Retraining) -> Ledger:
        """A ledger in which the latest entry with the same key is replaced."""
        place = max(place for place, one in enumerate(self.retrainings) if one.key == retraining.key)
        return Ledger(retrainings=(*self.retrainings[:place], retraining, *self.retrainings[place + 1 :]))


def retraining_key(bundle: str, window_start: float) -> str:
    """Idempotency key of the retraining that a window of a bundle may start.

    The start alone identifies a window, because windows follow each other. A concurrent job, or a retry after a crash,
    sees a later end but must not start a second retraining.

    Args:
        bundle: Version of the served bundle.
        window_start: Start of the window, unix seconds of the log.
    """
    start = datetime.fromtimestamp(window_start, UTC)
    return f"{bundle}-since-{start:%Y%m%dT%H%M%S}{start.microsecond // 1000:03d}"


def read_ledger(folder: StateFolder) -> Ledger:
    """Read the ledger; it is empty before the first retraining.

    Raises:
        StorageError: The file cannot be read or is not a ledger.
    """
    content = folder.read(LEDGER_FILE)
    if content is None:
        return Ledger()
    try:
        return Ledger.model_validate_json(content)
    except ValidationError as error:
        raise StorageError(
            f"The file {folder.url}/{LEDGER_FILE} is not a ledger: restore it, or remove it if no retraining runs."
        ) from error


def write_ledger(folder: StateFolder, ledger: Ledger) -> None:
    """Replace the ledger. The caller must hold the retraining lease.

    Raises:
        StorageError: The file cannot be written.
    """
    folder.write(LEDGER_FILE, (ledger.model_dump_json(indent=2) + "\n").encode())
