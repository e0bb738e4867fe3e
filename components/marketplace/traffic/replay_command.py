"""Replays days of a simulated marketplace against a running transformer, to observe the feedback loop.

Every call continues from the end of the dataset and the served log. With a shift, the shop's items table changes first:
run `make refresh` between `--items-only` and the replay, so that new prices and stock take effect immediately.

    make serve CLOCK=request
    python -m components.marketplace.traffic.replay_command --log build/log/simulated-small [--mobile-share 0.95]
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.marketplace.config import LOG_START, MarketplaceConfig
from components.marketplace.dataset.truth import config_of
from components.marketplace.traffic.client import ShopClient
from components.marketplace.traffic.replay import TrafficReplay, resumed_world, write_items
from components.marketplace.traffic.shift_options import add_shift_options, shift_of
from feature_repo.command import Command
from feature_repo.dataset.split import DAY
from feature_repo.progress import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--dataset", type=Path, default=Path("build/data/simulated-small"), help="simulated dataset")
    parser.add_argument("--log", type=Path, required=True, help="log folder of the transformer")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="transformer with the clock `request`")
    parser.add_argument("--days", type=int, default=1, help="number of days to replay")
    parser.add_argument("--threads", type=int, default=2, help="number of concurrent requests")
    parser.add_argument("--items-only", action="store_true", help="write the items table of the day and stop")
    add_shift_options(parser)


def work(options: argparse.Namespace) -> None:
    """Replays the days given by the options.

    Raises:
        SettingsError: The dataset is not simulated, or the shift is invalid.
        ShopClientError: The transformer did not answer, or answered with an error.
    """
    config, tables = config_of(options.dataset), [options.dataset / "interactions.parquet"]
    tables.append(options.log / "interactions")
    day = next_day(config, options.log)
    shift = shift_of(options)
    if shift:
        config = MarketplaceConfig.model_validate({**config.model_dump(), "shift": {"from_day": day, **shift}})
    world = resumed_world(config, tables, LOG_START + day * DAY)
    if shift:
        write_items(world, options.dataset, day)
        say(f"{options.dataset / 'items.parquet'} now holds the items of day {day}")
    if options.items_only:
        return
    with ShopClient(options.url) as client:
        users = TrafficReplay(world, client, options.threads)
        for one in range(day, day + options.days):
            started = time.monotonic()
            done = users.day(one)
            print(
                f"day {one}: {done.num_requests:,} requests ({done.num_degraded} degraded), "
                f"{done.num_events:,} events, bundles {', '.join(done.versions)}, {time.monotonic() - started:.0f} s",
                flush=True,
            )


def next_day(config: MarketplaceConfig, log: Path) -> int:
    """The first day that neither the dataset nor the impressions of the served log cover."""
    impressions = log / "impressions"
    if not impressions.is_dir():
        return config.num_days
    latest = pc.max(pq.read_table(impressions, columns=["timestamp"])["timestamp"]).as_py()
    return config.num_days if latest is None else math.floor((latest.timestamp() - LOG_START) / DAY) + 1


main = Command("components.marketplace.traffic.replay_command", __doc__, work, add_arguments)


if __name__ == "__main__":
    main()
