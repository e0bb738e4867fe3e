"""Starts a retraining, here or in a cluster, and follows those in a cluster to their end.

Owns how a run's end becomes an entry of the ledger. Imported only where there is one to start or to follow: the
definition of the training brings along all that its steps are made of.
"""

from __future__ import annotations

import re

from feature_repo.errors import KuberecError, RunFailed, Stopped
from inference.bundles.store import BundleStore
from monitoring.ledger import Retraining
from pipelines.cluster.client import Cluster, ClusterRun
from pipelines.definitions.training import training
from pipelines.local.run_folder import fresh_folder
from pipelines.local.runner import code_version
from pipelines.local.training_run import train, training_arguments
from pipelines.retraining.ledger_book import Book, Job, ended, lost

GATES = ("require-quality-op", "require-schema-op", "refuse-op")
_COPY = re.compile(r"-\d+$")  # kfp numbers the tasks of one component


def start(entry: Retraining, job: Job, book: Book) -> None:
    """Start a retraining and enter how it stands: here once it has ended, in a cluster once it is submitted.

    Args:
        entry: Not yet in the ledger.
        job: For whom.
        book: Held by this process.

    Raises:
        Busy: Another process of this build folder trains.
        LeaseLost: The lease was lost meanwhile.
        Stopped: Somebody interrupted the training.
        KuberecError: Nothing is known to have been started.
    """
    if job.settings.cluster.endpoint:
        _submit(entry, job, book)
    else:
        _train_here(entry, job, book)


def follow(entry: Retraining, job: Job) -> Retraining:
    """An entry as its run in the cluster stands now.

    Args:
        entry: Running. Without an id whoever submitted it ended before the answer: its run, if there is one, has its
            name.
        job: For whom.

    Raises:
        ClusterError: The cluster cannot say.
    """
    cluster = Cluster(job.settings.cluster)
    if entry.run_id:
        return _as_it_stands(entry, cluster.look(entry.run_id), job)
    run = cluster.find(_run_name(entry, job))
    return lost(entry) if run is None else _as_it_stands(_submitted(entry, run), run, job)


def _train_here(entry: Retraining, job: Job, book: Book) -> None:
    with fresh_folder(job.settings.build / "retraining") as run_dir:
        book.start(entry)
        try:
            train(job.dataset, job.name, job.parameters, job.settings, run_dir, cause=entry.cause)
        except Stopped as stop:
            book.change(ended(entry, "failed", sentence=str(stop), lost=True))
            raise
        except KuberecError as error:
            refused = isinstance(error, RunFailed) and _is_gate(error.step or "")
            book.change(ended(entry, "refused" if refused else "failed", sentence=str(error)))
            print(f"the retraining ended without a release: {error}", flush=True)
        else:
            version = BundleStore(job.store).current() or ""
            book.change(ended(entry, "released", version=version))
            print(f"the retraining released bundle {version}", flush=True)


def _submit(entry: Retraining, job: Job, book: Book) -> None:
    """Submit the run of this key, unless an earlier job did and could not enter it."""
    cluster, name = Cluster(job.settings.cluster), _run_name(entry, job)
    run = cluster.find(name)
    if run is None:
        arguments = training_arguments(job.dataset, job.name, job.parameters, job.settings, cause=entry.cause)
        book.start(entry)
        run = cluster.submit(
            training,
            {**arguments, "code_version": code_version()},
            name=name,
            experiment=f"kuberec-{job.name}",
        )
    else:
        book.start(entry)
    book.change(_as_it_stands(_submitted(entry, run), run, job))
    print(f"run {run.run_id} at {job.settings.cluster.endpoint} is called {name}", flush=True)


def _run_name(entry: Retraining, job: Job) -> str:
    """Display name of an entry's run in the cluster."""
    return f"{job.name}-retraining-{entry.key}"


def _submitted(entry: Retraining, run: ClusterRun) -> Retraining:
    """The entry with its run."""
    return entry.model_copy(update={"run_id": run.run_id})


def _as_it_stands(entry: Retraining, run: ClusterRun | None, job: Job) -> Retraining:
    """The entry as its run in the cluster stands."""
    if run is None:
        return ended(entry, "failed", sentence=f"the cluster knows no run {entry.run_id} any more", lost=True)
    if run.state == "running":
        return entry
    if run.state == "succeeded":
        return ended(entry, "released", version=_released_for(entry, job), at=run.finished_at)
    where = f"see run {run.run_id} of Kubeflow Pipelines"
    gates = [step for step in run.failed_steps if _is_gate(step)]
    if gates:
        return ended(entry, "refused", sentence=f"step {gates[0]} refused it: {where}", at=run.finished_at)
    why = run.error or "it failed"
    return ended(entry, "failed", sentence=f"{why}: {where}", at=run.finished_at)


def _released_for(entry: Retraining, job: Job) -> str:
    """The bundle that names the entry's cause; "" where it is not in the store any more."""
    bundles = BundleStore(job.store)
    made = (version for version in reversed(bundles.versions()) if version > entry.bundle)
    return next((version for version in made if bundles.manifest(version).facts.cause == entry.cause), "")


def _is_gate(step: str) -> bool:
    return _COPY.sub("", step) in GATES
