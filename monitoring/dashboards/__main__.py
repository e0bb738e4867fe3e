"""Write the dashboard for Grafana: `python -m monitoring.dashboards --out build/monitoring`."""

from __future__ import annotations

import argparse
from pathlib import Path

from feature_repo.command import Command
from feature_repo.storage.files import write_json
from monitoring.dashboards import kuberec_dashboard

FILE = "dashboard.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--out", type=Path, default=Path("build/monitoring"), help="folder that gets dashboard.json")
    parser.add_argument("--namespace", default="", help="namespace of the installation in a cluster; all by default")


def work(options: argparse.Namespace) -> None:
    """Writes the file and prints its path."""
    write_json(options.out / FILE, kuberec_dashboard(options.namespace))
    print(options.out / FILE)


main = Command("monitoring.dashboards", __doc__, work, add_arguments)


if __name__ == "__main__":
    main()
