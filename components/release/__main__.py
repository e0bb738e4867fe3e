"""Lists the bundles of a store, rolls back to the bundle that was served before, or removes old bundles.

    python -m components.release list --store DIR-OR-URL
    python -m components.release rollback --store DIR-OR-URL [--to VERSION]
    python -m components.release prune --store DIR-OR-URL [--keep NUMBER]

Running servers follow within seconds and without a failed request. `prune` also removes online features that no kept
bundle needs, from the Redis that KUBEREC_REDIS names or from the store.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

from components.release.pruning import KEPT_BUNDLES, prune
from components.release.releases import describe, go_back
from feature_repo.command import Command
from feature_repo.redis_settings import RedisSettings
from inference.bundles.store import BundleStore
from inference.feature_store import online_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="published bundles, when they were released, and which is served")
    back = commands.add_parser("rollback", help="serve the previous bundle; each call goes one release further back")
    back.add_argument("--to", default="", metavar="VERSION", help="serve this bundle instead")
    pruning = commands.add_parser("prune", help="remove old bundles and the online features that none needs")
    pruning.add_argument(
        "--keep",
        type=_positive,
        default=KEPT_BUNDLES,
        metavar="NUMBER",
        help=f"newest bundles that stay, next to the served and the previous one (default {KEPT_BUNDLES})",
    )
    for command in (listing, back, pruning):
        command.add_argument("--store", required=True, help="the dataset's store: a directory or s3://bucket/folder")


def work(options: argparse.Namespace) -> None:
    """Lists the bundles, rolls back, or removes old bundles."""
    store = BundleStore(options.store)
    if options.command == "prune":
        redis = RedisSettings.from_environment().redis_url
        with tempfile.TemporaryDirectory(prefix="kuberec-registry-") as scratch:
            place = partial(online_settings, store.url, redis=redis, scratch=Path(scratch))
            print(prune(store, place, options.keep).sentence())
        return
    lines = [go_back(store, options.to)] if options.command == "rollback" else describe(store)
    print("\n".join(lines))


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return number


main = Command("components.release", __doc__, work, add_arguments)


if __name__ == "__main__":
    main()
