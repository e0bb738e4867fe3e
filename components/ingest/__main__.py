"""`python -m components.ingest DATASET OUT [--log LOG]`: writes prepared tables and prints a summary to stdout."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from components.ingest.ingestion import ingest
from feature_repo.command import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Runs ingest; an unusable dataset ends the process with a one-sentence error."""
    parser.add_argument("dataset", type=Path, help="directory with dataset.toml and its tables")
    parser.add_argument("out", type=Path, help="directory for the prepared tables")
    parser.add_argument("--log", default="", help="what servers logged, a directory or s3://")


def work(options: argparse.Namespace) -> None:
    """Runs ingest."""
    description = ingest(options.dataset, options.out, log=options.log)
    print(json.dumps({key: value for key, value in description.items() if key != "config"}, indent=2))


main = Command("components.ingest", __doc__, work, add_arguments)


if __name__ == "__main__":
    main()
