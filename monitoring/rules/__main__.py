"""Write the rules for Prometheus: `python -m monitoring.rules --out build/monitoring`."""

from __future__ import annotations

import argparse
from pathlib import Path

import yaml

from feature_repo.storage.files import write_text
from monitoring.rules import RUNBOOKS, rule_file

FILE = "rules.yaml"


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.rules", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/monitoring"), help="folder to write rules.yaml to")
    parser.add_argument("--runbooks", default=RUNBOOKS, help="folder or URL of the runbooks, for links")
    options = parser.parse_args(arguments)
    write_text(options.out / FILE, yaml.safe_dump(rule_file(options.runbooks), sort_keys=False, width=1000))
    print(options.out / FILE)


if __name__ == "__main__":
    main()
