"""The ledger of retrainings: what drift has started, why, and how it ended. `<store>/monitoring/ledger.json`.

Owns the types and the file. Only the holder of the retraining lease (`pipelines/retraining/lease/`) writes it, so that
what is read, changed and written is changed by one process; anybody may read it.
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
    """One training that drift has started.

    Attributes:
        key: Idempotency key, see `retraining_key`.
        bundle: Version that was served while its requests drifted.
        window_start: The window's rows are later than this, unix seconds of the log.
        window_end: And no later than this.
        cause: Why it was started, one sentence.
        started_at: Unix seconds of the wall clock.
        finished_at: The same, None while it runs.
        outcome: `released`, `refused` by the data or release gate, `failed` for any other end, `running` until then.
        version: The released bundle, "" otherwise.
        sentence: Why it was refused or failed, "" otherwise.
        run_id: Of the cluster's run; "" where it ran on a machine of its own.
        lost: Whether it failed because whoever ran it was gone: that says nothing about the next try.
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


class Answer(BaseModel):
    """What a drift job did about what it found; `drift.json` and the page tell it.

    Attributes:
        retrain: Whether it started a retraining.
        sentence: Why, or why not.
        latest: The latest retraining, this one or an earlier one, as it stood when the job ended; None before the
            first. One that was refused or failed is told while the bundle is served that it was to replace.
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
        """The one started last."""
        return self.retrainings[-1] if self.retrainings else None

    def running(self) -> Retraining | None:
        """The one under way, None where all have ended."""
        return next((one for one in reversed(self.retrainings) if one.outcome == "running"), None)

    def answering(self, key: str) -> Retraining | None:
        """The one that answers this key for good; a lost try does not."""
        return next((one for one in self.retrainings if one.key == key and not one.lost), None)

    def last_try(self) -> Retraining | None:
        """The one that a cool-down counts from: the latest that was not lost."""
        return next((one for one in reversed(self.retrainings) if not one.lost), None)

    def last_of(self, outcome: Outcome) -> Retraining | None:
        """The latest with this outcome."""
        return next((one for one in reversed(self.retrainings) if one.outcome == outcome), None)

    def added(self, retraining: Retraining) -> Ledger:
        """The same with one more."""
        return Ledger(retrainings=(*self.retrainings, retraining))

    def replaced(self, retraining: Retraining) -> Ledger:
        """The same with the latest entry of its key as given."""
        place = max(place for place, one in enumerate(self.retrainings) if one.key == retraining.key)
        return Ledger(retrainings=(*self.retrainings[:place], retraining, *self.retrainings[place + 1 :]))


def retraining_key(bundle: str, window_start: float) -> str:
    """Names the retraining that a window of a bundle may start, so that it is started once.

    Windows follow one another, so the start says which one it is: of two jobs at once, or of a job and the one that
    repeats it after a crash, the second sees a few more rows and means the same window.

    Args:
        bundle: The version served.
        window_start: Unix seconds of the log.
    """
    start = datetime.fromtimestamp(window_start, UTC)
    return f"{bundle}-since-{start:%Y%m%dT%H%M%S}{start.microsecond // 1000:03d}"


def read_ledger(folder: StateFolder) -> Ledger:
    """The ledger as it stands; an empty one before the first retraining.

    Raises:
        StorageError: It cannot be read, or is none.
    """
    content = folder.read(LEDGER_FILE)
    if content is None:
        return Ledger()
    try:
        return Ledger.model_validate_json(content)
    except ValidationError as error:
        raise StorageError(
            f"{folder.url}/{LEDGER_FILE} is no ledger of retrainings: restore it, or remove it if nothing is running."
        ) from error


def write_ledger(folder: StateFolder, ledger: Ledger) -> None:
    """Replaces the ledger; the caller holds the retraining lease.

    Raises:
        StorageError: It cannot be written.
    """
    folder.write(LEDGER_FILE, (ledger.model_dump_json(indent=2) + "\n").encode())
