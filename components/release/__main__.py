"""Which bundle a store serves: `list` shows them, `rollback` goes back to the one served before.

    python -m components.release list --store DIR-OR-URL
    python -m components.release rollback --store DIR-OR-URL [--to VERSION]

Running servers follow within seconds and without a failed request.
"""

from __future__ import annotations

import argparse

from components.release.releases import describe, go_back
from feature_repo.errors import exit_with_sentence
from inference.bundles.store import BundleStore


def main() -> None:
    """Entry point; a store that cannot be used ends it with one sentence."""
    parser = argparse.ArgumentParser(
        prog="python -m components.release",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="published bundles, when they were released, and which is served")
    back = commands.add_parser("rollback", help="serve the bundle that was served before; again: the one before that")
    back.add_argument("--to", default="", metavar="VERSION", help="serve this bundle instead")
    for command in (listing, back):
        command.add_argument("--store", required=True, help="the dataset's store: a directory or s3://bucket/folder")
    arguments = parser.parse_args()
    with exit_with_sentence():
        store = BundleStore(arguments.store)
        lines = [go_back(store, arguments.to)] if arguments.command == "rollback" else describe(store)
        print("\n".join(lines))


if __name__ == "__main__":
    main()
