"""Decides whether a drift report starts a retraining, and why; `pipelines/` starts it.

Significant drift starts one retraining for each window of a bundle, unless another is running or the cooldown of the
last one has not passed. Moderate drift is only reported, and too little data leads to no conclusion. The decision only
depends on the arguments, never on clocks, stores or logs.
"""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict

from monitoring.drift.report import DriftReport
from monitoring.drift.wording import named
from monitoring.ledger import Ledger, Retraining, retraining_key


class RetrainingDecision(BaseModel):
    """The decision about a drift report.

    Attributes:
        retrain: Whether to start a retraining.
        cause: The reason for or against, in one sentence for people.
        key: Idempotency key of the retraining that this window may start.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    retrain: bool
    cause: str
    key: str


def decide(report: DriftReport, ledger: Ledger, now: float, cooldown_seconds: float) -> RetrainingDecision:
    """Decide whether a report starts a retraining.

    Args:
        report: Drift of a window of the served bundle.
        ledger: Retrainings until now.
        now: Wall clock, unix seconds.
        cooldown_seconds: Least time between the starts of two retrainings; a lost try does not count.
    """
    key = retraining_key(report.bundle_version, report.start)

    def no(cause: str) -> RetrainingDecision:
        return RetrainingDecision(retrain=False, cause=cause, key=key)

    if report.verdict == "insufficient":
        return no(f"{report.sentence} The window stays open until there are more.")
    if report.verdict == "none":
        return no(report.sentence)
    if report.verdict == "moderate":
        return no(f"{report.sentence} Moderate drift is reported and starts no retraining.")
    drift = f"{named(report.worst('significant'))} drifted from the reference of bundle {report.bundle_version}"
    answered, running = ledger.answering(key), ledger.running()
    if answered is not None:
        return no(f"{drift}, and the retraining that answers this window {_stands(answered)}.")
    if running is not None:
        return no(f"{drift}, and the retraining {running.key} is still running.")
    last = ledger.last_try()
    if last is not None and now < last.started_at + cooldown_seconds:
        since, left = _span(now - last.started_at), _span(last.started_at + cooldown_seconds - now)
        return no(f"{drift}, but the last retraining was started {since} ago: the next may start in {left}.")
    return RetrainingDecision(retrain=True, cause=f"{drift}, over {report.num_requests:,} requests.", key=key)


def _stands(entry: Retraining) -> str:
    if entry.outcome == "running":
        return "is running"
    if entry.outcome == "released":
        return f"released bundle {entry.version}"
    return "was refused" if entry.outcome == "refused" else "failed"


def _span(seconds: float) -> str:
    """A duration in words, rounded up."""
    if seconds < 120:
        return f"{math.ceil(max(seconds, 0))} s"
    if seconds < 2 * 3600:
        return f"{math.ceil(seconds / 60)} min"
    return f"{math.ceil(seconds / 3600)} h"
