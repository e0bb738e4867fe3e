"""`python -m components.ingest DATASET OUT [--log LOG]`: prepared tables, and their numbers on stdout."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from components.ingest.ingestion import ingest
from feature_repo.errors import exit_with_sentence


def main() -> None:
    """Runs ingest; a dataset that cannot be used ends it with one sentence."""
    parser = argparse.ArgumentParser(prog="python -m components.ingest", description=__doc__)
    parser.add_argument("dataset", type=Path, help="directory with dataset.toml and its tables")
    parser.add_argument("out", type=Path, help="directory for the prepared tables")
    parser.add_argument("--log", default="", help="what servers logged, a directory or s3://")
    arguments = parser.parse_args()
    with exit_with_sentence():
        description = ingest(arguments.dataset, arguments.out, log=arguments.log)
        print(json.dumps({key: value for key, value in description.items() if key != "config"}, indent=2))


if __name__ == "__main__":
    main()
