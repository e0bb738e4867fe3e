"""Answers a drift report: at most one training is started, through the definition that also trains otherwise.

Owns the order of things: lease, then what became of earlier ones, then the decision, then the ledger, then the run.
Nothing here decides whether drift deserves a training (`monitoring/decision.py`) or whether its bundle is released (the
gates of the training pipeline).
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
    """Start the retraining that a report asks for, if it is to be started now, and say why or why not.

    Here it ends with the training; in a cluster, once the training is submitted, and a later job sees its end.

    Args:
        report: What drifted.
        job: For whom.

    Returns:
        What was done and why, and whether that settles the window: not where another job is at work, which may be lost.

    Raises:
        LeaseLost: Another process may have started one meanwhile.
        Stopped: Somebody interrupted the training.
        KuberecError: Lease, ledger or cluster cannot be used: nothing is known to have been started.
    """
    settings = job.settings
    try:
        with retraining_lease(job.state, job.name, settings.redis, settings.monitoring.lease_seconds) as lease:
            book = Book(job.state, lease)
            _settle(book, job)
            served = BundleStore(job.store).current()
            if served != report.bundle_version:
                sentence = f"bundle {served} is served by now, and the next window tells how it fares"
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
                print(f"retraining, because {decision.cause}", flush=True)
                from pipelines.retraining.launcher import start  # seconds of imports, which most jobs need not

                start(entry, job, book)
            settled = report.verdict != "insufficient"
            return DriftAnswer(retrain=decision.retrain, sentence=decision.cause, latest=book.ledger.latest()), settled
    except LeaseTaken as taken:
        return DriftAnswer(retrain=False, sentence=str(taken), latest=read_ledger(job.state).latest()), False


def _settle(book: Book, job: Job) -> None:
    """Enter what became of retrainings that the ledger has as running; the lease is ours, so nobody runs one here."""
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
