"""`make serve`: both servers over the current bundle of a dataset, until interrupted.

python -m pipelines.serve --dataset DIR [--port 8080]
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from feature_repo.command import Command
from feature_repo.dataset.config import DatasetConfig
from feature_repo.errors import BundleError
from feature_repo.storage.files import write_json
from inference.bundles.store import BundleStore
from pipelines.local.servers import serve
from pipelines.settings import PipelineSettings

TARGETS_FILE = "targets.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--dataset", type=Path, required=True, help="dataset directory whose bundle is served")
    parser.add_argument("--port", type=int, default=8080, help="HTTP port of the transformer")
    parser.add_argument(
        "--clock",
        choices=("wall", "log", "request"),
        help="where requests take their time from; request: the header Kuberec-Time, for replays. By default the wall "
        "clock, or the log's own where it ended more than a day ago",
    )


def work(options: argparse.Namespace) -> None:
    """Serves the dataset; an interrupt is how it ends."""
    with contextlib.suppress(KeyboardInterrupt):
        serve_until_interrupted(options.dataset, options.port, options.clock, PipelineSettings.from_environment())


def serve_until_interrupted(dataset: Path, port: int, clock: str | None, settings: PipelineSettings) -> None:
    """Serve the dataset's current bundle.

    Args:
        dataset: Dataset directory; its name finds the store.
        port: HTTP port of the transformer.
        clock: Of requests; None chooses, see `PipelineSettings.serving`.
        settings: Of this process.

    Raises:
        BundleError: Nothing was released for the dataset yet.
        ServerFailed: A server ended.
    """
    name = DatasetConfig.load(dataset).name
    store = settings.store(name)
    bundles = BundleStore(store)
    version = bundles.current()
    if version is None:
        raise BundleError(f"{store} has no current bundle: run `make run DATASET={dataset}` first")
    log_dir = settings.build / "serve"
    log_dir.mkdir(parents=True, exist_ok=True)
    variables = settings.serving(bundles) | {"KUBEREC_LOG": settings.log(name)}
    if clock is not None:
        variables["KUBEREC_CLOCK"] = clock
    with serve(store, log_dir, port=port, settings=variables) as servers:
        write_targets(servers.addresses, log_dir / TARGETS_FILE)
        print(f"bundle {version} is served at {servers.url}; logs are in {log_dir}; stop with Ctrl-C", flush=True)
        print(f"  curl '{servers.url}/api/v1/recommendations?user_id=somebody&count=5'", flush=True)
        while True:
            servers.check()
            time.sleep(1.0)


def write_targets(addresses: Mapping[str, str], path: Path) -> None:
    """Tells a Prometheus of this machine (`file_sd_configs`) where the servers are, named as the alert rules know them.

    Args:
        addresses: `host:port` by name, as in `Servers`.
        path: The file, replaced as a whole.
    """
    write_json(path, [{"targets": [at], "labels": {"job": f"kuberec-{name}"}} for name, at in addresses.items()])


main = Command("pipelines.serve", __doc__, work, add_arguments, interrupts=(signal.SIGTERM,))


if __name__ == "__main__":
    main()
