"""One training run on this machine, and the arguments of one anywhere: `make run` and a retraining share both."""

from __future__ import annotations

import time
from pathlib import Path

from components.ingest import dataset_fingerprint
from components.validation.tfdv.schema import schema_version
from feature_repo.errors import RunFailed
from inference.bundles.store import BundleStore
from pipelines.definitions.parameters import TrainingParameters
from pipelines.definitions.training import training
from pipelines.local.runner import run_pipeline
from pipelines.settings import PipelineSettings


def training_arguments(
    dataset: Path, name: str, parameters: TrainingParameters, settings: PipelineSettings, *, cause: str = ""
) -> dict[str, object]:
    """What the training pipeline is called with, but for `code_version` and `report_dir`.

    Args:
        dataset: Dataset directory.
        name: Name of the dataset; finds its store.
        parameters: What the owner set.
        settings: Of this process.
        cause: Why it is started, where drift does that.

    Raises:
        KuberecError: The dataset or its store cannot be read.
    """
    store, log = settings.store(name), settings.log(name)
    return {
        "dataset": str(dataset.resolve()),
        "log": log,
        "store": store,
        "fingerprint": dataset_fingerprint(dataset, log),
        "schema_version": schema_version(store),
        "served_version": BundleStore(store).current() or "",
        "redis": settings.redis,
        "cause": cause,
        **parameters.model_dump(),
    }


def train(
    dataset: Path,
    name: str,
    parameters: TrainingParameters,
    settings: PipelineSettings,
    run_dir: Path,
    *,
    cause: str = "",
) -> None:
    """Run the training pipeline on this machine and tell how it ended.

    Args:
        dataset: Dataset directory.
        name: Name of the dataset; finds its store.
        parameters: Of the training pipeline.
        settings: Of this process.
        run_dir: Receives reports, figures and the log.
        cause: Why it is started, where drift does that.

    Raises:
        RunFailed: A step ended the run; says which bundle stays served.
    """
    started = time.monotonic()
    print(f"training on {dataset}; progress in short, all of it in {run_dir / 'pipeline.log'}", flush=True)
    arguments = {
        **training_arguments(dataset, name, parameters, settings, cause=cause),
        "report_dir": str(run_dir),
    }
    try:
        finished = run_pipeline(training, arguments, settings, name=name, run_dir=run_dir)
    except RunFailed as failure:
        served = BundleStore(settings.store(name)).current()
        stays = f"bundle {served} stays served" if served else "nothing is served yet"
        raise RunFailed(f"{str(failure).removesuffix('.')}; {stays}", failure.step) from failure
    slowest = sorted(finished.seconds.items(), key=lambda step: -step[1])[:4]
    shares = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in slowest)
    memory = f"peak memory of a step {finished.peak_bytes / 2**30:.1f} GiB"
    print(f"pipeline: {time.monotonic() - started:.0f} s ({shares}); {memory}", flush=True)
