"""Runs the statistics where TFDV is installed: in this process, else in the validation environment's interpreter.

In the cluster the component's image contains TFDV. On a developer's machine TFDV has a separate virtual environment,
next to the main environment.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

from feature_repo.errors import SettingsError
from feature_repo.storage.folder import local_path

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_PYTHON = ROOT / ".venv-validation" / "bin" / "python"


def compute_statistics(tables_dir: str, out_dir: str, store: str, page_path: str, python: str = "") -> None:
    """Runs `statistics.run_statistics`.

    Args:
        tables_dir: Clean prepared tables.
        out_dir: Receives statistics.json.
        store: The dataset's store, a directory or URL; holds the schemas.
        page_path: The HTML report to write.
        python: Interpreter of the validation environment; "" is `.venv-validation` in the repository.

    Raises:
        SettingsError: The interpreter does not exist.
        SystemExit: The other process failed with this exit code; it has printed the reason to stderr.
    """
    if importlib.util.find_spec("tensorflow_data_validation") is not None:
        from components.validation.tfdv.statistics import run_statistics

        run_statistics(tables_dir, out_dir, store, page_path)
        return
    interpreter = Path(python) if python else DEFAULT_PYTHON
    if not interpreter.is_file():
        raise SettingsError(
            f"{interpreter} is missing: statistics need the validation environment; run `make setup`, or name its "
            "interpreter in KUBEREC_VALIDATION_PYTHON."
        )
    place = store if local_path(store) is None else os.path.abspath(store)
    tables, out, page = (os.path.abspath(path) for path in (tables_dir, out_dir, page_path))
    finished = subprocess.run(
        [str(interpreter), "-m", "components.validation.tfdv.statistics", tables, out, place, "--page", page],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    if finished.returncode:
        raise SystemExit(finished.returncode)
