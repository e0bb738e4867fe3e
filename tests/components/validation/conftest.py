"""The interpreter that has TFDV; tests of statistics run the real thing or say why they cannot."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.kit.checkout import ROOT


@pytest.fixture(scope="session")
def tfdv_python() -> str:
    """Path of an interpreter that imports tensorflow_data_validation."""
    python = os.environ.get("KUBEREC_VALIDATION_PYTHON", str(ROOT / ".venv-validation" / "bin" / "python"))
    if not Path(python).is_file():
        pytest.skip(
            f"no validation environment at {python}: `make setup` installs it, KUBEREC_VALIDATION_PYTHON names it"
        )
    found = subprocess.run([python, "-c", "import apache_beam"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"{python} cannot import what TFDV needs: `make setup` installs the validation environment")
    return python
