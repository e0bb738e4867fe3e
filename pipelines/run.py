"""`make run`: trains on a dataset, serves the released bundle with both servers, and prints a feed and latencies.

python -m pipelines.run --dataset DIR|URL [gate=warn] [refit=true] [seed=0]
"""

from __future__ import annotations

import argparse
import json
import signal
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.command import Command
from feature_repo.dataset.place import Place, dataset_place, load_config
from feature_repo.storage.files import write_json
from inference.bundles.store import BundleStore
from pipelines.definitions.parameters import TrainingParameters
from pipelines.local.latency import measure
from pipelines.local.run_folder import fresh_folder
from pipelines.local.servers import serve
from pipelines.local.short_feed import explain, removed_items
from pipelines.local.training_run import train
from pipelines.settings import PipelineSettings

NUM_EXAMPLES = 200
NUM_ITEMS = 20  # of the printed feed
UNKNOWN_USER = "somebody-new"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "--dataset", type=dataset_place, required=True, help="dataset directory or URL (tables and dataset.toml)"
    )
    TrainingParameters.take(parser)


def work(options: argparse.Namespace) -> None:
    """Runs the job with the parsed options."""
    run(options.dataset, TrainingParameters.parse(options.parameters), PipelineSettings.from_environment())


def run(dataset: Place, parameters: TrainingParameters, settings: PipelineSettings) -> None:
    """Trains, serves, and prints one feed.

    Args:
        dataset: Dataset directory or URL.
        parameters: Parameters of the training pipeline.
        settings: Settings of this process.

    Raises:
        KuberecError: The run failed; the message gives the reason. The previous bundle stays in service.
    """
    started = time.monotonic()
    with fresh_folder(settings.build / "run") as run_dir:
        name = load_config(dataset).name
        store = settings.store(name)
        train(dataset, name, parameters, settings, run_dir)
        examples = example_users(run_dir / "lists.parquet")
        # No log: the requests of this command do not come from users.
        variables = settings.serving(BundleStore(store)) | {"KUBEREC_LOG": ""}
        with serve(store, run_dir, settings=variables) as servers:
            feed, timing = fetch_feed(servers.url, examples[0])
            write_json(run_dir / "feed.json", feed)
            print(describe_feed(feed, examples[0], timing), flush=True)
            if len(feed["items"]) < NUM_ITEMS:
                num_items = BundleStore(store).manifest(feed["bundle_version"]).num_items
                print(explain(len(feed["items"]), NUM_ITEMS, num_items, removed_items(servers.url)), flush=True)
            print(measure(servers.url, examples), flush=True)
    print(f"Done in {time.monotonic() - started:.0f} s; figures, reports and the feed are in {run_dir}.")


def example_users(lists: Path) -> list[str]:
    """At most `NUM_EXAMPLES` users of the evaluation's lists; an unknown user if the lists are empty."""
    users: list[str] = pc.unique(pq.read_table(lists, columns=["user_id"])["user_id"]).to_pylist()
    return users[:NUM_EXAMPLES] or [UNKNOWN_USER]


def fetch_feed(url: str, user_id: str) -> tuple[dict[str, Any], str]:
    """Requests a slate of the surface home; returns it with its Server-Timing header."""
    query = urllib.parse.urlencode({"user_id": user_id, "surface": "home", "count": NUM_ITEMS})
    with urllib.request.urlopen(f"{url}/api/v1/recommendations?{query}", timeout=10) as answer:
        return json.load(answer), answer.headers.get("Server-Timing", "")


def describe_feed(feed: dict[str, Any], user_id: str, timing: str) -> str:
    """The text of a slate: position, title and reason of each item, and the milliseconds of each stage."""
    titles = [str(item.get("title", item["item_id"])) for item in feed["items"]]
    width = min(max(map(len, titles), default=0), 48)
    lines = [f"Feed of user {user_id} from bundle {feed['bundle_version']}:"]
    lines += [
        f"  {item['position'] + 1:2d}. {title:{width}.48s}  {item['reason']}"
        for item, title in zip(feed["items"], titles, strict=True)
    ]
    stages = [part.strip().split(";dur=") for part in timing.split(",") if ";dur=" in part]
    lines.append("  Milliseconds: " + ", ".join(f"{name} {float(ms):.1f}" for name, ms in stages) + ".")
    return "\n".join(lines)


main = Command("pipelines.run", __doc__, work, add_arguments, interrupts=(signal.SIGTERM,))


if __name__ == "__main__":
    main()
