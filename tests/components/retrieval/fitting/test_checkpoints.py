"""A killed fit continues from its checkpoint, and ends with the weights of a fit that was not killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from components.retrieval.config import TrainingConfig
from components.retrieval.fitting.checkpoints import Checkpoints
from components.retrieval.fitting.training import FitState
from components.retrieval.fitting.watch import Watch
from components.retrieval.fitting.workers import single_thread
from components.retrieval.model import TrainingData
from components.retrieval.towers import fit, training_data
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.directory import FeaturesDirectory
from tests.components.retrieval.shop_data import data_until

CONFIG = TrainingConfig(dimension=16, hidden=32, batch=64, num_uniform=64, chunk=512, max_epochs=4, patience=4)


def fit_and_save(tables_dir: Path, features_dir: Path, folder: str, out: Path) -> None:
    """Fits towers with a checkpoint after every chunk and writes their weights."""
    tables, features = PreparedTables.open(tables_dir), FeaturesDirectory(features_dir)
    start, end = tables.split.validation_start, tables.split.test_start
    with single_thread():
        data = training_data(tables, features.feature_set(), features.item_ids(), start, end, CONFIG)
        keeper = Checkpoints(folder, "shop", "one key", seconds=0)
        watch = Watch.of(data, start, end, 100)
        towers, fitted = fit(data, CONFIG, start, watch, CONFIG.max_epochs, 3, keeper)
    save_file(towers.weights() | {"epochs": torch.tensor(fitted.epochs)}, out)


def start(shop_dirs: tuple[Path, Path], folder: str, out: Path) -> subprocess.Popen[str]:
    arguments = [*map(str, shop_dirs), folder, str(out)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "tests.components.retrieval.fitting.test_checkpoints", *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_a_killed_fit_ends_with_the_same_towers(shop_dirs: tuple[Path, Path], tmp_path: Path) -> None:
    state = tmp_path / "kept" / "shop" / "state.safetensors"
    killed = start(shop_dirs, str(tmp_path / "kept"), tmp_path / "never")
    assert killed.stderr is not None
    for line in killed.stderr:
        if line.startswith("towers: epoch 2"):
            break
    while not state.exists():
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait(60)
    assert not (tmp_path / "never").exists()
    resumed = start(shop_dirs, str(tmp_path / "kept"), tmp_path / "resumed")
    _, said = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, said
    assert "towers: continue in epoch" in said
    assert "towers: epoch 1, loss" not in said
    fit_and_save(*shop_dirs, "", tmp_path / "whole")
    one, other = load_file(tmp_path / "resumed"), load_file(tmp_path / "whole")
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=0, rtol=0, msg=name)


@pytest.fixture
def data(shop_dirs: tuple[Path, Path]) -> TrainingData:
    return data_until(shop_dirs, "rank_start", CONFIG)


@pytest.mark.parametrize("fault", ["other key", "damaged"])
def test_a_checkpoint_of_another_fit_is_not_used(
    data: TrainingData, tmp_path: Path, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    first = Checkpoints(str(tmp_path), "shop", "one key", seconds=0)
    towers, _ = fit(data, CONFIG, 0.0, None, 1, 3, first)
    file = tmp_path / "shop" / "state.safetensors"
    assert file.exists()
    if fault == "damaged":
        file.write_bytes(file.read_bytes()[:100])
    again = Checkpoints(str(tmp_path), "shop", "other key" if fault == "other key" else "one key", seconds=0)
    state = FitState.start(towers, CONFIG, 0)
    again.load(state)
    assert (state.epoch, state.chunk) == (1, 0)
    assert ("cannot be read and is not used" in capfd.readouterr().err) == (fault == "damaged")
    first.remove()
    assert not file.exists()


def test_short_fits_write_no_checkpoint(data: TrainingData, tmp_path: Path) -> None:
    fit(data, CONFIG, 0.0, None, 1, 3, Checkpoints(str(tmp_path), "shop", "one key"))
    assert not list(tmp_path.iterdir())


def test_a_bucket_that_cannot_be_reached_does_not_end_the_fit(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    variables = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    towers, _ = fit(data, CONFIG, 0.0, None, 1, 3)
    keeper = Checkpoints("s3://bucket/checkpoints", "shop", "one key", seconds=0)
    keeper.save(FitState.start(towers, CONFIG, 0))
    assert "towers: no checkpoint is written, and the fit continues: " in capfd.readouterr().err


if __name__ == "__main__":
    fit_and_save(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
