"""A training run on this machine, and the arguments of a training run; `make run` and retrainings use both."""

from __future__ import annotations

import time
from pathlib import Path

from components.ingest import dataset_fingerprint
from components.validation.tfdv.schema import schema_version
from feature_repo.dataset.place import Place, absolute
from feature_repo.errors import RunFailed
from inference.bundles.store import BundleStore
from pipelines.definitions.parameters import TrainingParameters
from pipelines.definitions.training import training
from pipelines.local.runner import run_pipeline
from pipelines.settings import PipelineSettings


def training_arguments(
    dataset: Place, name: str, parameters: TrainingParameters, settings: PipelineSettings, *, cause: str = ""
) -> dict[str, object]:
    """The arguments of the training pipeline, without `code_version` and `report_dir`.

    Args:
        dataset: Dataset directory or URL.
        name: Name of the dataset; determines its store and log.
        parameters: Parameters of the training pipeline.
        settings: Settings of this process.
        cause: Why drift starts the run, "" for other runs.

    Raises:
        KuberecError: The dataset or its store cannot be read.
    """
    store, log, read_at = settings.store(name), settings.log(name), time.time()
    return {
        "dataset": absolute(dataset),
        "log": log,
        "store": store,
        "fingerprint": dataset_fingerprint(dataset, log),
        "schema_version": schema_version(store),
        "served_version": BundleStore(store).current() or "",
        "redis": settings.redis_parameter,
        "read_at": read_at,
        "cause": cause,
        **parameters.model_dump(),
    }


def train(
    dataset: Place,
    name: str,
    parameters: TrainingParameters,
    settings: PipelineSettings,
    run_dir: Path,
    *,
    cause: str = "",
) -> None:
    """Runs the training pipeline on this machine and prints a summary.

    Args:
        dataset: Dataset directory or URL.
        name: Name of the dataset; determines its store and log.
        parameters: Parameters of the training pipeline.
        settings: Settings of this process.
        run_dir: Folder that receives reports, figures and the log.
        cause: Why drift starts the run, "" for other runs.

    Raises:
        RunFailed: A step failed; the message names the bundle that stays in service.
    """
    started = time.monotonic()
    print(f"Training on {dataset}; the full log is {run_dir / 'pipeline.log'}.", flush=True)
    arguments = {
        **training_arguments(dataset, name, parameters, settings, cause=cause),
        "report_dir": str(run_dir),
    }
    try:
        finished = run_pipeline(training, arguments, settings, name=name, run_dir=run_dir)
    except RunFailed as failure:
        served = BundleStore(settings.store(name)).current()
        stays = f"bundle {served} stays in service" if served else "no bundle is in service yet"
        raise RunFailed(f"{str(failure).removesuffix('.')}; {stays}.", failure.step) from failure
    slowest = sorted(finished.seconds.items(), key=lambda step: -step[1])[:4]
    shares = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in slowest)
    memory = f"peak memory of a step {finished.peak_bytes / 2**30:.1f} GiB"
    print(f"Pipeline: {time.monotonic() - started:.0f} s ({shares}); {memory}.", flush=True)
