"""`make refresh`: recomputes features and popular list of the served bundle from dataset and log, without training.

python -m pipelines.refresh --dataset DIR|URL
"""

from __future__ import annotations

import argparse
import signal
import time
from datetime import UTC, datetime

from components.features.refresh import Refreshed, require_served
from components.ingest import dataset_fingerprint
from feature_repo.command import Command
from feature_repo.dataset.place import Place, absolute, dataset_place, load_config
from feature_repo.errors import RunFailed
from inference.bundles.store import BundleStore
from pipelines.definitions.refresh import refresh
from pipelines.local.run_folder import fresh_folder
from pipelines.local.runner import run_pipeline
from pipelines.settings import PipelineSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "--dataset", type=dataset_place, required=True, help="dataset directory or URL (tables and dataset.toml)"
    )


def work(options: argparse.Namespace) -> None:
    """Refreshes the features of the dataset."""
    run_refresh(options.dataset, PipelineSettings.from_environment())


def refresh_arguments(dataset: Place, name: str, settings: PipelineSettings) -> dict[str, object]:
    """The arguments of the refresh pipeline, without `code_version` and `report_dir`.

    Args:
        dataset: Dataset directory or URL.
        name: Name of the dataset; determines its store and log.
        settings: Settings of this process.

    Raises:
        KuberecError: The dataset, its store or its log cannot be read, or no bundle is in service.
    """
    store, log, read_at = settings.store(name), settings.log(name), time.time()
    require_served(BundleStore(store))
    return {
        "dataset": absolute(dataset),
        "log": log,
        "store": store,
        "fingerprint": dataset_fingerprint(dataset, log),
        "redis": settings.redis_parameter,
        "read_at": read_at,
    }


def run_refresh(dataset: Place, settings: PipelineSettings) -> Refreshed:
    """Runs the refresh pipeline on this machine and prints the result.

    Args:
        dataset: Dataset directory or URL.
        settings: Settings of this process.

    Raises:
        BundleError: No bundle is in service yet.
        RunFailed: A step failed; the served bundle keeps its previous features.
    """
    started = time.monotonic()
    name = load_config(dataset).name
    with fresh_folder(settings.build / "refresh") as out:
        arguments = refresh_arguments(dataset, name, settings) | {"report_dir": str(out)}
        try:
            run_pipeline(refresh, arguments, settings, name=name, run_dir=out, keep=False)
        except RunFailed as failure:
            served = BundleStore(settings.store(name)).current()
            why = str(failure).removesuffix(".")
            raise RunFailed(f"{why}; bundle {served} keeps its previous features.", failure.step) from failure
        done = Refreshed.model_validate_json((out / "refresh.json").read_text(encoding="utf-8"))
    if done.overtaken:
        print(f"A run that read the dataset later has refreshed {done.bundle} already: its features stay.")
        return done
    as_of = f"{datetime.fromtimestamp(done.as_of, UTC):%Y-%m-%d %H:%M:%S} UTC"
    print(
        f"Refreshed {done.num_users:,} users and {done.num_items:,} items of {' and '.join(done.bundles)} as of "
        f"{as_of} ({time.monotonic() - started:.0f} s); servers use the new features within a minute."
    )
    return done


main = Command("pipelines.refresh", __doc__, work, add_arguments, interrupts=(signal.SIGTERM,))


if __name__ == "__main__":
    main()
