"""Starts retrainings on this machine or in a cluster, and follows the runs in a cluster to their end.

Translates the end of a run into an entry of the ledger. Importing this module takes seconds, because the definition of
the training imports all its steps; other modules import it only when they need it.
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
_NUMBER = re.compile(r"-\d+$")  # kfp numbers several tasks of one component


def start(entry: Retraining, job: Job, book: Book) -> None:
    """Starts a retraining and enters it into the ledger.

    On this machine the call returns after the training has ended, with a cluster after the run was submitted.

    Args:
        entry: The retraining; it is not yet in the ledger.
        job: The drift job.
        book: The ledger, under a lease of this process.

    Raises:
        Busy: Another process trains in this build folder.
        LeaseLost: The lease was lost.
        Stopped: A person interrupted the training.
        KuberecError: The training could not be started, or the cluster did not confirm the start.
    """
    if job.settings.cluster.endpoint:
        _submit(entry, job, book)
    else:
        _train_here(entry, job, book)


def follow(entry: Retraining, job: Job) -> Retraining:
    """Updates an entry from the state of its run in the cluster.

    Args:
        entry: A running entry. If it has no run id, the submitting process exited before the answer; then the run is
            looked up by its name.
        job: The drift job.

    Raises:
        ClusterError: The cluster cannot be used.
    """
    cluster = Cluster(job.settings.cluster)
    if entry.run_id:
        return _updated(entry, cluster.look(entry.run_id), job)
    run = cluster.find(_run_name(entry, job))
    return lost(entry) if run is None else _updated(_submitted(entry, run), run, job)


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
            print(f"The retraining ended without a release: {error}", flush=True)
        else:
            version = BundleStore(job.store).current() or ""
            book.change(ended(entry, "released", version=version))
            print(f"The retraining released bundle {version}.", flush=True)


def _submit(entry: Retraining, job: Job, book: Book) -> None:
    """Submits the run of this key, unless an earlier job submitted it and exited before it entered the run."""
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
    book.change(_updated(_submitted(entry, run), run, job))
    print(f"Run {run.run_id} at {job.settings.cluster.endpoint} has the name {name}.", flush=True)


def _run_name(entry: Retraining, job: Job) -> str:
    """Display name of the entry's run in the cluster."""
    return f"{job.name}-retraining-{entry.key}"


def _submitted(entry: Retraining, run: ClusterRun) -> Retraining:
    """The entry with the id of its run."""
    return entry.model_copy(update={"run_id": run.run_id})


def _updated(entry: Retraining, run: ClusterRun | None, job: Job) -> Retraining:
    """The entry with the outcome of its run in the cluster."""
    if run is None:
        return ended(entry, "failed", sentence=f"The cluster no longer has the run {entry.run_id}.", lost=True)
    if run.state == "running":
        return entry
    if run.state == "succeeded":
        return ended(entry, "released", version=_released_for(entry, job), at=run.finished_at)
    where = f"see run {run.run_id} in Kubeflow Pipelines"
    gates = [step for step in run.failed_steps if _is_gate(step)]
    if gates:
        return ended(
            entry, "refused", sentence=f"The step {gates[0]} refused the release: {where}.", at=run.finished_at
        )
    why = f"The run failed ({run.error})" if run.error else "The run failed"
    return ended(entry, "failed", sentence=f"{why}: {where}.", at=run.finished_at)


def _released_for(entry: Retraining, job: Job) -> str:
    """The bundle whose manifest has the entry's cause; "" if the store no longer has it."""
    bundles = BundleStore(job.store)
    made = (version for version in reversed(bundles.versions()) if version > entry.bundle)
    return next((version for version in made if bundles.manifest(version).facts.cause == entry.cause), "")


def _is_gate(step: str) -> bool:
    return _NUMBER.sub("", step) in GATES
