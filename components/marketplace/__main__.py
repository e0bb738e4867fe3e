"""Writes a simulated dataset, the marketplace or a log without impressions, unless it already exists."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from components.marketplace.config import SIZES, MarketplaceConfig, config_for
from components.marketplace.dataset.directory import make_dataset
from components.marketplace.dataset.truth import TRUTH, TRUTH_FILE
from components.marketplace.logs.sizes import LOG_SIZES, make_log
from components.marketplace.traffic.shift_options import add_shift_options, shift_of
from feature_repo.command import Command
from feature_repo.errors import SettingsError
from feature_repo.progress import say
from feature_repo.storage.files import read_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The configuration and the output folder from the command line."""
    parser.add_argument("--size", choices=(*SIZES, *LOG_SIZES), default="small", help="which world, and how large")
    parser.add_argument("--seed", type=int, default=0, help="of every random choice")
    parser.add_argument("--out", type=Path, help="folder to write; default build/data/simulated-<size>")
    parser.add_argument("--null-users", type=float, help="share of interactions whose user id is removed")
    parser.add_argument("--shift-day", type=int, help="first day of the shift that the options below describe")
    add_shift_options(parser)


def work(options: argparse.Namespace) -> None:
    """Writes the dataset and prints its numbers of rows.

    Raises:
        SettingsError: The options do not fit each other, or give a world that cannot be.
    """
    started = time.monotonic()
    out = options.out or Path(f"build/data/simulated-{options.size}")
    if not _make(options, out):
        say(f"{out} already exists")
        return
    truth = read_json(out / TRUTH / TRUTH_FILE)
    rows = ", ".join(f"{count:,} {table}" for table, count in truth["num_rows"].items())
    say(f"{out}: {rows} in {time.monotonic() - started:.1f} s; what is known of it stands in {out / TRUTH}")


def _make(options: argparse.Namespace, out: Path) -> bool:
    """Writes the dataset that the options ask for, and returns whether it was written."""
    if options.size not in LOG_SIZES:
        return make_dataset(_config(options), out)
    if options.null_users is not None or options.shift_day is not None or shift_of(options):
        raise SettingsError(
            f"A log of the size {options.size!r} has no planted defects and no shift: "
            "leave out --null-users, --shift-day and the options of the shift."
        )
    return make_log(options.size, options.seed, out)


def _config(options: argparse.Namespace) -> MarketplaceConfig:
    """The configuration that the options ask for."""
    changes: dict[str, object] = {}
    if options.null_users is not None:
        changes["defects"] = {"null_users": options.null_users}
    shift = shift_of(options)
    if options.shift_day is not None:
        changes["shift"] = {"from_day": options.shift_day, **shift}
    elif shift:
        raise SettingsError("A shifted world needs --shift-day, the day on which the shift begins.")
    return config_for(options.size, options.seed, **changes)


main = Command("components.marketplace", __doc__, work, add_arguments)


if __name__ == "__main__":
    main()
