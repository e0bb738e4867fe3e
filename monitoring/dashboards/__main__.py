"""Write the dashboard for Grafana: `python -m monitoring.dashboards --out build/monitoring`."""

from __future__ import annotations

import argparse
from pathlib import Path

from feature_repo.storage.files import write_json
from monitoring.dashboards import kuberec_dashboard

FILE = "dashboard.json"


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m monitoring.dashboards", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--out", type=Path, default=Path("build/monitoring"), help="folder to write dashboard.json to")
    options = parser.parse_args(arguments)
    write_json(options.out / FILE, kuberec_dashboard())
    print(options.out / FILE)


if __name__ == "__main__":
    main()
