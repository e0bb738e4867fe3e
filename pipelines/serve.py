"""`make serve`: serves the current bundle of a dataset with both servers, until interrupted.

python -m pipelines.serve --dataset DIR|URL [--port 8080]
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from feature_repo.command import Command
from feature_repo.dataset.place import Place, dataset_place, load_config
from feature_repo.errors import BundleError
from feature_repo.storage.files import write_json
from inference.bundles.store import BundleStore
from pipelines.local.servers import serve
from pipelines.settings import PipelineSettings

TARGETS_FILE = "targets.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "--dataset", type=dataset_place, required=True, help="dataset directory or URL whose bundle is served"
    )
    parser.add_argument("--port", type=int, default=8080, help="HTTP port of the transformer")
    parser.add_argument(
        "--clock",
        choices=("wall", "log", "request"),
        help="source of the time of requests; `request` is the header Kuberec-Time, for replays. The default is the "
        "wall clock, or the log's clock if the log ended more than a day ago",
    )


def work(options: argparse.Namespace) -> None:
    """Serves the dataset; an interrupt is the normal end."""
    with contextlib.suppress(KeyboardInterrupt):
        serve_until_interrupted(options.dataset, options.port, options.clock, PipelineSettings.from_environment())


def serve_until_interrupted(dataset: Place, port: int, clock: str | None, settings: PipelineSettings) -> None:
    """Serves the current bundle of a dataset.

    Args:
        dataset: Dataset directory; the name of the dataset determines the store.
        port: HTTP port of the transformer.
        clock: Clock of requests; None for the default of `PipelineSettings.serving`.
        settings: Settings of this process.

    Raises:
        BundleError: No bundle was released for the dataset yet.
        ServerFailed: A server exited.
    """
    name = load_config(dataset).name
    store = settings.store(name)
    bundles = BundleStore(store)
    version = bundles.current()
    if version is None:
        raise BundleError(f"The store {store} has no current bundle: run `make run DATASET={dataset}` first.")
    log_dir = settings.build / "serve"
    log_dir.mkdir(parents=True, exist_ok=True)
    variables = settings.serving(bundles) | {"KUBEREC_LOG": settings.log(name)}
    if clock is not None:
        variables["KUBEREC_CLOCK"] = clock
    with serve(store, log_dir, port=port, settings=variables) as servers:
        write_targets(servers.addresses, log_dir / TARGETS_FILE)
        print(f"Bundle {version} is served at {servers.url}; logs are in {log_dir}; stop with Ctrl-C.", flush=True)
        print(f"  curl '{servers.url}/api/v1/recommendations?user_id=u1&count=5'", flush=True)
        while True:
            servers.check()
            time.sleep(1.0)


def write_targets(addresses: Mapping[str, str], path: Path) -> None:
    """Writes the scrape targets for a Prometheus on this machine (`file_sd_configs`).

    The `job` labels are those of the alert rules.

    Args:
        addresses: `host:port` by server name, as in `Servers`.
        path: The file, which is replaced as a whole.
    """
    write_json(path, [{"targets": [at], "labels": {"job": f"kuberec-{name}"}} for name, at in addresses.items()])


main = Command("pipelines.serve", __doc__, work, add_arguments, interrupts=(signal.SIGTERM,))


if __name__ == "__main__":
    main()
