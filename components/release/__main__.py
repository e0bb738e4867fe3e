"""Lists the bundles of a store, or rolls back to the bundle that was served before.

    python -m components.release list --store DIR-OR-URL
    python -m components.release rollback --store DIR-OR-URL [--to VERSION]

Running servers follow within seconds and without a failed request.
"""

from __future__ import annotations

import argparse

from components.release.releases import describe, go_back
from feature_repo.command import Command
from inference.bundles.store import BundleStore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="published bundles, when they were released, and which is served")
    back = commands.add_parser("rollback", help="serve the previous bundle; each call goes one release further back")
    back.add_argument("--to", default="", metavar="VERSION", help="serve this bundle instead")
    for command in (listing, back):
        command.add_argument("--store", required=True, help="the dataset's store: a directory or s3://bucket/folder")


def work(options: argparse.Namespace) -> None:
    """Lists the bundles or rolls back."""
    store = BundleStore(options.store)
    lines = [go_back(store, options.to)] if options.command == "rollback" else describe(store)
    print("\n".join(lines))


main = Command("components.release", __doc__, work, add_arguments)


if __name__ == "__main__":
    main()
