"""Reacts to a drift report: starts at most one retraining, through the usual training pipeline.

The order is: take the lease, update earlier entries, decide, write the ledger, start the run. `monitoring/decision.py`
decides whether drift starts a retraining, and the gates of the training pipeline decide whether its bundle is released.
"""

from __future__ import annotations

import time

from feature_repo.errors import LeaseTaken
from inference.bundles.store import BundleStore
from monitoring.decision import decide
from monitoring.drift.report import DriftReport
from monitoring.ledger import DriftAnswer, Retraining, read_ledger
from pipelines.retraining.lease.lease import retraining_lease
from pipelines.retraining.ledger_book import Book, Job, lost


def answer(report: DriftReport, job: Job) -> tuple[DriftAnswer, bool]:
    """Starts a retraining if the report requires it, and gives the reason for or against.

    On this machine the call returns after the training has ended. With a cluster it returns after the run was
    submitted, and a later job enters its end.

    Args:
        report: Drift of the window.
        job: The drift job.

    Returns:
        The answer, and whether it is final for the window. It is not final after too few requests, for a bundle that is
        no longer in service, or while another job holds the lease, because that job may be lost.

    Raises:
        LeaseLost: The lease was lost; another process may have started a retraining.
        Stopped: A person interrupted the training.
        KuberecError: Lease, ledger or cluster cannot be used; no retraining was started, as far as is known.
    """
    settings = job.settings
    try:
        with retraining_lease(job.state, job.name, settings.redis_url, settings.monitoring.lease_seconds) as lease:
            book = Book(job.state, lease)
            _update_running(book, job)
            served = BundleStore(job.store).current()
            if served != report.bundle_version:
                sentence = f"Bundle {served} is in service now; the next window measures it."
                return DriftAnswer(retrain=False, sentence=sentence, latest=book.ledger.latest()), False
            decision = decide(report, book.ledger, time.time(), settings.monitoring.cooldown_seconds)
            if decision.retrain:
                entry = Retraining(
                    key=decision.key,
                    bundle=report.bundle_version,
                    window_start=report.start,
                    window_end=report.end,
                    cause=decision.cause,
                    started_at=time.time(),
                )
                print(f"Starting a retraining: {decision.cause}", flush=True)
                from pipelines.retraining.launcher import start  # imports kfp for seconds; most jobs do not need it

                start(entry, job, book)
            settled = report.verdict != "insufficient"
            return DriftAnswer(retrain=decision.retrain, sentence=decision.cause, latest=book.ledger.latest()), settled
    except LeaseTaken as taken:
        return DriftAnswer(retrain=False, sentence=str(taken), latest=read_ledger(job.state).latest()), False


def _update_running(book: Book, job: Job) -> None:
    """Updates running entries. A local entry is lost, because its process no longer holds the lease."""
    for entry in book.ledger.retrainings:
        if entry.outcome != "running":
            continue
        if job.settings.cluster.endpoint:
            from pipelines.retraining.launcher import follow

            followed = follow(entry, job)
            if followed != entry:
                book.change(followed)
        elif not entry.run_id:
            book.change(lost(entry))
