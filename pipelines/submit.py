"""Submits a pipeline to Kubeflow Pipelines; the CronJobs of a cluster run this command, and so can a person.

python -m pipelines.submit training|refresh|drift --dataset DIR|URL [--key KEY] [name=value]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from kfp.dsl.graph_component import GraphComponent

from feature_repo.command import Command
from feature_repo.dataset.place import absolute, dataset_place, load_config
from feature_repo.errors import SettingsError
from inference.bundles.store import BundleStore
from pipelines.cluster.client import Cluster, ClusterRun
from pipelines.cluster.images import image_names
from pipelines.definitions.drift import drift
from pipelines.definitions.parameters import TrainingParameters
from pipelines.definitions.refresh import refresh
from pipelines.definitions.training import training
from pipelines.local.runner import code_version
from pipelines.local.training_run import training_arguments
from pipelines.refresh import refresh_arguments
from pipelines.retraining.ledger_book import Job
from pipelines.settings import PipelineSettings


@dataclass(frozen=True, slots=True)
class Submission:
    """A pipeline that can be submitted.

    Attributes:
        pipeline: The definition.
        arguments: Makes the arguments of a job, without `code_version`.
        needs_release: Whether it works on a released bundle.
    """

    pipeline: GraphComponent
    arguments: Callable[[Job], dict[str, object]]
    needs_release: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("pipeline", choices=tuple(SUBMISSIONS), help="pipeline to submit")
    parser.add_argument(
        "--dataset", type=dataset_place, required=True, help="dataset directory or URL; the steps need the same path"
    )
    parser.add_argument(
        "--key", help="idempotency key of the run: only the first of several calls with the same key submits it"
    )
    TrainingParameters.take(parser)


def work(options: argparse.Namespace) -> None:
    """Submits the chosen pipeline."""
    parameters, settings = TrainingParameters.parse(options.parameters), PipelineSettings.from_environment()
    if not settings.cluster.endpoint:
        raise SettingsError(
            "KUBEREC_KFP_ENDPOINT is not set: set it to the API of Kubeflow Pipelines, http://host:port."
        )
    job = Job(options.dataset, load_config(options.dataset).name, parameters, settings)
    if SUBMISSIONS[options.pipeline].needs_release and BundleStore(job.store).current() is None:
        # The schedules start before the first training has ended: that is not a failure to retry.
        print(
            f"The store {job.store} has no released bundle yet: no {options.pipeline} is submitted until there is one."
        )
        return
    run = submit(options.pipeline, job, options.key or f"{datetime.now(UTC):%Y%m%dT%H%M%S}")
    print(f"Run {run.run_id} at {settings.cluster.endpoint} has the name {run.name}.")


def submit(name: str, job: Job, key: str) -> ClusterRun:
    """Submits a pipeline for a dataset, unless a run with this key exists: Kubernetes may restart a CronJob's pod.

    Args:
        name: One of `SUBMISSIONS`.
        job: Dataset, parameters and settings.
        key: Idempotency key of the run.

    Raises:
        KuberecError: The dataset or the store cannot be read, or the cluster cannot be used.
    """
    chosen, cluster, run_name = SUBMISSIONS[name], Cluster(job.settings.cluster), f"{job.name}-{name}-{key}"
    run = cluster.find(run_name)
    if run is not None:
        print(f"A run with the key {key} exists already: no run is submitted.", flush=True)
        return run
    arguments = {**chosen.arguments(job), "code_version": code_version()}
    return cluster.submit(chosen.pipeline, arguments, name=run_name, experiment=f"kuberec-{job.name}")


def _training(job: Job) -> dict[str, object]:
    return training_arguments(job.dataset, job.name, job.parameters, job.settings)


def _refresh(job: Job) -> dict[str, object]:
    return refresh_arguments(job.dataset, job.name, job.settings)


def _drift(job: Job) -> dict[str, object]:
    changed = job.parameters.model_dump(exclude_defaults=True)
    return {
        "dataset": absolute(job.dataset),
        # The step that answers submits a training from a pod, which cannot fill in the tag of the images.
        "variables": {**job.settings.variables(), "KUBEREC_IMAGES": image_names(job.settings.cluster.images.images)},
        "parameters": [f"{name}={value}" for name, value in changed.items()],
    }


SUBMISSIONS: Mapping[str, Submission] = {
    "training": Submission(training, _training),
    "refresh": Submission(refresh, _refresh, needs_release=True),
    "drift": Submission(drift, _drift, needs_release=True),
}


main = Command("pipelines.submit", __doc__, work, add_arguments, intermixed=True)


if __name__ == "__main__":
    main()
