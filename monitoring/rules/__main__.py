"""Write the rules for Prometheus: `python -m monitoring.rules --out build/monitoring`."""

from __future__ import annotations

import argparse
from pathlib import Path

import yaml

from feature_repo.command import Command
from feature_repo.storage.files import write_text
from monitoring.rules import RUNBOOKS, rule_file

FILE = "rules.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--out", type=Path, default=Path("build/monitoring"), help="folder that gets rules.yaml")
    parser.add_argument("--namespace", default="", help="namespace of the installation in a cluster; all by default")
    parser.add_argument("--runbooks", default=RUNBOOKS, help="folder or URL that notifications link the runbooks in")


def work(options: argparse.Namespace) -> None:
    """Writes the file and prints its path."""
    write_text(
        options.out / FILE, yaml.safe_dump(rule_file(options.runbooks, options.namespace), sort_keys=False, width=1000)
    )
    print(options.out / FILE)


main = Command("monitoring.rules", __doc__, work, add_arguments)


if __name__ == "__main__":
    main()
