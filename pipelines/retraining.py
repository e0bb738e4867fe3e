"""Answers a drift report: at most one training is started, through the definition that also trains otherwise.

Owns the order of things: lease, then what became of earlier ones, then the decision, then the ledger, then the run.
Nothing here decides whether drift deserves a training (`monitoring/decision.py`) or whether its bundle is released (the
gates of the training pipeline).
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from feature_repo.errors import KuberecError
from inference.store import BundleStore
from monitoring.decision import decide
from monitoring.drift.report import DriftReport
from monitoring.ledger import Answer, Ledger, Outcome, Retraining, read_ledger, write_ledger
from monitoring.state import StateFolder
from pipelines.alone import fresh_folder
from pipelines.cluster import Cluster, ClusterRun
from pipelines.lease import Lease, LeaseTaken, retraining_lease
from pipelines.local import RunFailed, Stopped, code_version
from pipelines.parameters import TrainingParameters
from pipelines.settings import PipelineSettings
from pipelines.trainer import train, training_arguments
from pipelines.training import training

GATES = ("require-quality-op", "require-schema-op", "refuse-op")
LOST = "whoever ran it ended without a word, and its lease has expired"
_COPY = re.compile(r"-\d+$")  # kfp numbers the tasks of one component


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


class _Book:
    """The ledger while its lease is held: every change is the holder's, and is written at once."""

    def __init__(self, state: StateFolder, lease: Lease) -> None:
        self._state, self._lease = state, lease
        self.ledger = read_ledger(state)

    def start(self, entry: Retraining) -> None:
        self._write(self.ledger.added(entry))

    def change(self, entry: Retraining) -> None:
        self._write(self.ledger.replaced(entry))

    def _write(self, ledger: Ledger) -> None:
        self._lease.require()
        write_ledger(self._state, ledger)
        self.ledger = ledger


def answer(report: DriftReport, job: Job) -> tuple[Answer, bool]:
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
            book = _Book(job.state, lease)
            _settle(book, job)
            served = BundleStore(job.store).current()
            if served != report.bundle_version:
                sentence = f"bundle {served} is served by now, and the next window tells how it fares"
                return Answer(retrain=False, sentence=sentence, latest=book.ledger.latest()), False
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
                _submit(entry, job, book) if settings.cluster.endpoint else _train_here(entry, job, book)
            settled = report.verdict != "insufficient"
            return Answer(retrain=decision.retrain, sentence=decision.cause, latest=book.ledger.latest()), settled
    except LeaseTaken as taken:
        return Answer(retrain=False, sentence=str(taken), latest=read_ledger(job.state).latest()), False


def _settle(book: _Book, job: Job) -> None:
    """Enter what became of retrainings that the ledger has as running; the lease is ours, so nobody runs one here."""
    for entry in book.ledger.retrainings:
        if entry.outcome != "running":
            continue
        if not entry.run_id:
            book.change(_ended(entry, "failed", sentence=LOST, lost=True))
        elif job.settings.cluster.endpoint:
            run = Cluster(job.settings.cluster).look(entry.run_id)
            settled = _followed(entry, run, job)
            if settled != entry:
                book.change(settled)


def _train_here(entry: Retraining, job: Job, book: _Book) -> None:
    with fresh_folder(job.settings.build_dir / "retraining") as run_dir:
        book.start(entry)
        try:
            train(job.dataset, job.name, job.parameters, job.settings, run_dir, cause=entry.cause)
        except Stopped as stop:
            book.change(_ended(entry, "failed", sentence=str(stop), lost=True))
            raise
        except KuberecError as error:
            refused = isinstance(error, RunFailed) and _is_gate(error.step or "")
            book.change(_ended(entry, "refused" if refused else "failed", sentence=str(error)))
            print(f"the retraining ended without a release: {error}", flush=True)
        else:
            version = BundleStore(job.store).current() or ""
            book.change(_ended(entry, "released", version=version))
            print(f"the retraining released bundle {version}", flush=True)


def _submit(entry: Retraining, job: Job, book: _Book) -> None:
    """Submit the run of this key, unless an earlier job did and could not enter it."""
    cluster, name = Cluster(job.settings.cluster), f"{job.name}-retraining-{entry.key}"
    book.start(entry)
    run = cluster.find(name)
    if run is None:
        arguments = training_arguments(job.dataset, job.name, job.parameters, job.settings, cause=entry.cause)
        run = cluster.submit(
            training,
            {**arguments, "code_version": code_version()},
            name=name,
            experiment=f"kuberec-{job.name}",
        )
    book.change(_followed(entry.model_copy(update={"run_id": run.run_id}), run, job))
    print(f"run {run.run_id} at {job.settings.cluster.endpoint} is called {name}", flush=True)


def _followed(entry: Retraining, run: ClusterRun | None, job: Job) -> Retraining:
    """The entry as its run in the cluster stands."""
    if run is None:
        return _ended(entry, "failed", sentence=f"the cluster knows no run {entry.run_id} any more", lost=True)
    if run.state == "running":
        return entry
    if run.state == "succeeded":
        return _ended(entry, "released", version=_released_for(entry, job), at=run.finished_at)
    where = f"see run {run.run_id} of Kubeflow Pipelines"
    gates = [step for step in run.failed_steps if _is_gate(step)]
    if gates:
        return _ended(entry, "refused", sentence=f"step {gates[0]} refused it: {where}", at=run.finished_at)
    why = run.error or "it failed"
    return _ended(entry, "failed", sentence=f"{why}: {where}", at=run.finished_at)


def _released_for(entry: Retraining, job: Job) -> str:
    """The bundle that names the entry's cause; "" where it is not in the store any more."""
    bundles = BundleStore(job.store)
    made = (version for version in reversed(bundles.versions()) if version > entry.bundle)
    return next((version for version in made if bundles.manifest(version).facts.cause == entry.cause), "")


def _ended(
    entry: Retraining,
    outcome: Outcome,
    *,
    sentence: str = "",
    version: str = "",
    lost: bool = False,
    at: float | None = None,
) -> Retraining:
    finished = time.time() if at is None else at
    end = {"outcome": outcome, "sentence": sentence, "version": version, "lost": lost, "finished_at": finished}
    return entry.model_copy(update=end)


def _is_gate(step: str) -> bool:
    return _COPY.sub("", step) in GATES
