"""The windows of the drift job; `python -m pipelines.drift` and the drift pipeline both use this module.

A window starts at the end of the last window, so every request is measured once. A window with too few requests stays
open and grows. The end of the last window is stored in the store, so jobs on any machine continue from it.
"""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, ValidationError

from feature_repo.errors import BundleError, StorageError
from inference.bundles.manifest import Manifest
from inference.bundles.store import BundleStore
from inference.log.reader import latest_impression
from monitoring.drift.report import DriftReport
from monitoring.state import StateFolder
from pipelines.retraining.ledger_book import Job
from pipelines.retraining.response import answer

WINDOWS_FILE = "drift.json"


class MeasuredUntil(BaseModel):
    """`<store>/monitoring/drift.json`.

    Attributes:
        measured_until: End of the last closed window, unix seconds of the log.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    measured_until: float


def measure_window(job: Job, since: float | None = None, until: float | None = None) -> DriftReport:
    """Compares the window since the last window with the reference of the served bundle.

    Args:
        job: The drift job.
        since: Start of the window, unix seconds. None for the end of the last window, or of the bundle's training data
            if that is later.
        until: End of the window, unix seconds; None for the latest impression, which also limits later times.

    Raises:
        BundleError: No bundle is in service, or the bundle has no reference.
        KuberecError: The store or the log cannot be read.
    """
    from monitoring.drift.measure import measure  # Evidently takes seconds to import, and `react` does not need it

    bundles = BundleStore(job.store, job.settings.build / "cache")
    version = bundles.current()
    if version is None:
        raise BundleError(f"The store {job.store} has no current bundle: run `make run DATASET={job.dataset}` first.")
    log = job.settings.log(job.name)
    start = _start(job.state, bundles.manifest(version)) if since is None else since
    # Events do not count: the client may set their timestamps.
    logged = latest_impression(log) or start
    end = max(start, logged if until is None else min(until, logged))
    print(f"Comparing the log {log} of {job.name} with the reference of bundle {version}.", flush=True)
    return measure(bundles.fetch(version), log, start, end)


def react(report: DriftReport, job: Job) -> DriftReport:
    """Starts a retraining if the report requires it, and closes the window if the answer is final.

    Args:
        report: Drift of the window.
        job: The drift job.

    Returns:
        The report with its answer.

    Raises:
        KuberecError: See `answer`; the window stays open, and the next job measures it again.
    """
    done, settled = answer(report, job)
    if settled:
        _close_window(job.state, report.end)
    return report.model_copy(update={"answer": done})


def _start(state: StateFolder, manifest: Manifest) -> float:
    """Start of the next window: the end of the last window, or of the data that the bundle was trained on if later."""
    windows = _windows(state)
    return max(manifest.facts.log_end, windows.measured_until if windows else -math.inf)


def _close_window(state: StateFolder, end: float) -> None:
    windows = _windows(state)
    if windows is None or windows.measured_until < end:
        state.write(WINDOWS_FILE, (MeasuredUntil(measured_until=end).model_dump_json() + "\n").encode())


def _windows(state: StateFolder) -> MeasuredUntil | None:
    content = state.read(WINDOWS_FILE)
    if content is None:
        return None
    try:
        return MeasuredUntil.model_validate_json(content)
    except ValidationError as error:
        raise StorageError(
            f"The file {state.url}/{WINDOWS_FILE} does not have the format that drift jobs write: remove it."
        ) from error
