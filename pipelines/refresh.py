"""`make refresh`: features as of now, from dataset and log, for the bundle that is served; nothing is trained.

python -m pipelines.refresh --dataset DIR
"""

from __future__ import annotations

import argparse
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

from components.features.refresh import Refreshed, require_served
from components.ingest import dataset_fingerprint
from feature_repo.command import Command
from feature_repo.dataset.config import DatasetConfig
from feature_repo.errors import RunFailed
from inference.bundles.store import BundleStore
from pipelines.definitions.refresh import refresh
from pipelines.local.run_folder import fresh_folder
from pipelines.local.runner import run_pipeline
from pipelines.settings import PipelineSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--dataset", type=Path, required=True, help="dataset directory (tables and dataset.toml)")


def work(options: argparse.Namespace) -> None:
    """Refreshes the features of the dataset."""
    run_refresh(options.dataset, PipelineSettings.from_environment())


def refresh_arguments(dataset: Path, name: str, settings: PipelineSettings) -> dict[str, object]:
    """What the refresh pipeline is called with, but for `code_version` and `report_dir`.

    Args:
        dataset: Dataset directory.
        name: Name of the dataset; finds its store and its log.
        settings: Of this process.

    Raises:
        KuberecError: The dataset, its store or its log cannot be read, or nothing is served.
    """
    store, log = settings.store(name), settings.log(name)
    require_served(BundleStore(store))
    return {
        "dataset": str(dataset.resolve()),
        "log": log,
        "store": store,
        "fingerprint": dataset_fingerprint(dataset, log),
        "redis": settings.redis,
    }


def run_refresh(dataset: Path, settings: PipelineSettings) -> Refreshed:
    """Run the refresh pipeline on this machine and tell what it did.

    Args:
        dataset: Dataset directory.
        settings: Of this process.

    Raises:
        BundleError: Nothing is served yet.
        RunFailed: A step ended the run; what is served keeps the features it has.
    """
    started = time.monotonic()
    name = DatasetConfig.load(dataset).name
    with fresh_folder(settings.build / "refresh") as out:
        arguments = refresh_arguments(dataset, name, settings) | {"report_dir": str(out)}
        try:
            run_pipeline(refresh, arguments, settings, name=name, run_dir=out, keep=False)
        except RunFailed as failure:
            served = BundleStore(settings.store(name)).current()
            why = str(failure).removesuffix(".")
            raise RunFailed(f"{why}; bundle {served} is served as before", failure.step) from failure
        done = Refreshed.model_validate_json((out / "refresh.json").read_text(encoding="utf-8"))
    as_of = f"{datetime.fromtimestamp(done.as_of, UTC):%Y-%m-%d %H:%M:%S} UTC"
    print(
        f"{done.num_users:,} users and {done.num_items:,} items of {' and '.join(done.bundles)} are as of {as_of} "
        f"({time.monotonic() - started:.0f} s); servers show it within a minute"
    )
    return done


main = Command("pipelines.refresh", __doc__, work, add_arguments, interrupts=(signal.SIGTERM,))


if __name__ == "__main__":
    main()
