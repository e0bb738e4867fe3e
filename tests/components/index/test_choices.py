"""The first cutoff of a training chooses, and the later ones take its choices."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.index import quotas
from components.index.build import build_cutoff
from components.index.choices import Choices
from components.replay.cutoff import CUTOFF_FILE
from feature_repo.dataset.tables import PreparedTables
from feature_repo.errors import BundleError
from feature_repo.storage.files import read_json, write_json
from tests.kit import shop


def test_later_cutoffs_take_the_choices_of_the_first(tmp_path: Path) -> None:
    dirs = shop.write(tmp_path / "shop", num_events=1_500)
    split = PreparedTables.open(dirs[0]).split
    build_cutoff(*dirs, None, tmp_path / "rank", name="rank")
    first = Choices.read(tmp_path / "rank")
    described = first.described()
    assert described.items() <= read_json(tmp_path / "rank" / CUTOFF_FILE).items()
    other = {**described, "half_life_days": 123.0, "quotas": {**described["quotas"], "popular": 7}}
    write_json(tmp_path / "rank" / CUTOFF_FILE, other)
    build_cutoff(*dirs, None, tmp_path / "test", name="test", earlier_dir=tmp_path / "rank")
    later = read_json(tmp_path / "test" / CUTOFF_FILE)
    assert other.items() <= later.items()
    assert (later["name"], later["until"]) == ("test", split.test_start)


def test_the_neighbours_by_content_are_kept_where_they_pay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dirs = shop.write(tmp_path / "shop", num_events=1_500)
    for least, asked in ((0.0, True), (1.0, False)):
        monkeypatch.setattr(quotas, "LEAST_RECALL", least)
        monkeypatch.setattr(quotas, "surely_better", lambda gains, asked=asked: asked)
        first, later = tmp_path / f"rank-{asked}", tmp_path / f"test-{asked}"
        build_cutoff(*dirs, None, first, name="rank")
        build_cutoff(*dirs, None, later, name="test", earlier_dir=first)
        for folder in (first, later):
            choices = Choices.read(folder)
            assert choices.tried["content"].recall > 0
            assert (choices.quotas["content"] > 0) == asked
            assert (folder / "content_neighbours.npz").exists() == asked


def test_an_earlier_cutoff_that_is_damaged_is_refused(tmp_path: Path) -> None:
    (tmp_path / CUTOFF_FILE).write_text("{}")
    with pytest.raises(BundleError, match=r"The cutoff in .* cannot be read, build it again"):
        Choices.read(tmp_path)
