"""What a drift job does, one step after the other: `python -m pipelines.drift` and the drift pipeline call the same.

Owns which span of the log is the next window: it begins where the last one ended, so that every request is looked at
once; one with too few requests is not used up but grows. How far the windows have come stands in the store, so that
jobs on other machines go on from there.
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
        measured_until: End of the last window that was used up, unix seconds of the log.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    measured_until: float


def measure_window(job: Job, since: float | None = None, until: float | None = None) -> DriftReport:
    """Measure the window since the last one against the reference of the served bundle.

    Args:
        job: For whom.
        since: Unix seconds; where the last window ended if None, or the log that the bundle was trained on.
        until: Unix seconds; the latest impression if None. What is not logged yet is left to the next window.

    Raises:
        BundleError: Nothing is served, or its bundle has no reference.
        KuberecError: Store or log cannot be read.
    """
    from monitoring.drift.measure import measure  # Evidently takes seconds to import, and answers need none of it

    bundles = BundleStore(job.store, job.settings.build / "cache")
    version = bundles.current()
    if version is None:
        raise BundleError(f"{job.store} has no current bundle: run `make run DATASET={job.dataset}` first")
    log = job.settings.log(job.name)
    start = _start(job.state, bundles.manifest(version)) if since is None else since
    # An event may be dated by its sender, so that it says nothing about the window.
    logged = latest_impression(log) or start
    end = max(start, logged if until is None else min(until, logged))
    print(f"drift of {job.name}: what bundle {version} served in {log} against its reference", flush=True)
    return measure(bundles.fetch(version), log, start, end)


def react(report: DriftReport, job: Job) -> DriftReport:
    """Start a retraining or say why not, and use the window up if that settles it.

    Args:
        report: The window's.
        job: For whom.

    Returns:
        The report with its answer.

    Raises:
        KuberecError: See `answer`; the window is looked at again by the next job.
    """
    done, settled = answer(report, job)
    if settled:
        _use_up(job.state, report.end)
    return report.model_copy(update={"answer": done})


def _start(state: StateFolder, manifest: Manifest) -> float:
    """Where the next window of this bundle begins: what came before the end of its own data it has learned from."""
    used = _windows(state)
    return max(manifest.facts.log_end, used.measured_until if used else -math.inf)


def _use_up(state: StateFolder, end: float) -> None:
    used = _windows(state)
    if used is None or used.measured_until < end:
        state.write(WINDOWS_FILE, (MeasuredUntil(measured_until=end).model_dump_json() + "\n").encode())


def _windows(state: StateFolder) -> MeasuredUntil | None:
    content = state.read(WINDOWS_FILE)
    if content is None:
        return None
    try:
        return MeasuredUntil.model_validate_json(content)
    except ValidationError as error:
        raise StorageError(f"{state.url}/{WINDOWS_FILE} is not what a drift job leaves: remove it.") from error
