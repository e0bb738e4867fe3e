"""The command answers a refused dataset with one sentence."""

import subprocess
import sys
from pathlib import Path

from feature_repo.errors import DatasetError
from tests.components.ingest.conftest import CONFIG, DatasetFactory


def test_the_command_line_prints_one_sentence(dataset: DatasetFactory, tmp_path: Path) -> None:
    directory = dataset(CONFIG + "[extra]\nkey = 1\n")
    command = [sys.executable, "-m", "components.ingest", str(directory), str(tmp_path / "tables")]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == DatasetError.exit_code
    assert refused.stderr.startswith("error: ")
    assert "unknown key 'extra'" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "tables").exists()
    dataset()
    accepted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert accepted.returncode == 0, accepted.stderr
    assert '"interactions": 60' in accepted.stdout
