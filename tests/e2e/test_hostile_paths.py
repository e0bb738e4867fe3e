"""The whole way, both servers too, with a dataset and a build folder below names that break careless code."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.marketplace.config import config_for
from components.marketplace.dataset.directory import make_dataset
from tests.e2e import main_job

NAME = "h %20%s#?&k=v[b]{c}*'\"x ü;$x~"


@pytest.mark.long
def test_the_whole_way_below_a_hostile_folder(tmp_path: Path) -> None:
    home = tmp_path / NAME / "k=v"
    dataset = home / "data"
    make_dataset(config_for("tiny", 0), dataset)
    (home / "link").symlink_to(dataset, target_is_directory=True)
    done = main_job.run(home / "link", home / "build", "gate=warn")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Feed of user" in done.stdout
    assert {path.name for path in home.iterdir()} == {"data", "link", "build"}
