"""Starts the statistics where TFDV is: in this process if it is installed here, else in the interpreter that has it.

Owns crossing from one environment to the other. In the cluster the component's image holds TFDV; on a developer's
machine it lives in a virtual environment beside the main one.
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
        tables_dir: Prepared tables, clean.
        out_dir: Gets statistics.json.
        store: The dataset's store, a directory or URL; keeps the schemas.
        page_path: The report.
        python: Interpreter of the validation environment; "" is `.venv-validation` beside the code.

    Raises:
        SettingsError: There is no such interpreter.
        SystemExit: The other process ended with this code; it has said why on stderr.
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
