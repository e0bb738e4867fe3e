"""The study of tree parameters: what it takes, when it stops, and that a killed one continues with its trials."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from components.ranking.fit import fit_ranker
from components.ranking.judging import JudgedQueries
from components.ranking.rows import RankingRows
from components.ranking.trees.boosting import RankerConfig
from components.ranking.trees.journal import StudyJournal
from components.ranking.trees.stopping import halve
from components.ranking.trees.study import search
from tests.components.ranking.test_fit import FEATURES, judge_rows, make_rows

# One shallow tree with one random feature and a tiny step: nearly every other setting is better.
POOR = RankerConfig(
    num_trees=8, num_leaves=4, learning_rate=0.02, feature_fraction=0.2, patience=8, num_threads=1, study_seconds=300.0
)


class InterruptedJournal(StudyJournal):
    """Ends the training after two trials, as a kill between two trials does."""

    num_saved = 0

    def save(self) -> None:
        super().save()
        self.num_saved += 1
        if self.num_saved == 2:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def rows() -> tuple[RankingRows, JudgedQueries]:
    train = make_rows(80, 0, with_positions=False).learnable()
    return train, judge_rows(make_rows(120, 1, with_positions=False))


def searched(rows: tuple[RankingRows, JudgedQueries], journal: StudyJournal, **settings: float) -> RankerConfig:
    train, judged = rows
    config = POOR.model_copy(update=settings)
    return search(train, judged, halve(judged.user_ids, 0), FEATURES, config, journal)


def test_better_parameters_replace_the_recipe(
    rows: tuple[RankingRows, JudgedQueries], capsys: pytest.CaptureFixture[str]
) -> None:
    found = searched(rows, StudyJournal("", "trees"), study_trials=8)
    assert found.learning_rate != POOR.learning_rate
    assert (found.num_trees, found.patience, found.seed) == (POOR.num_trees, POOR.patience, POOR.seed)
    said = capsys.readouterr()
    lines = [line for line in (said.out + said.err).splitlines() if "s left" in line]
    assert len(lines) == 8
    assert "8 trials" in lines[-1]
    best = [float(line.partition("best ndcg@20 ")[2].partition(",")[0]) for line in lines]
    assert best == sorted(best)
    assert best[-1] > best[0]


def test_a_study_without_time_keeps_the_recipe(rows: tuple[RankingRows, JudgedQueries]) -> None:
    assert searched(rows, StudyJournal("", "trees"), study_seconds=1e-3).learning_rate == POOR.learning_rate


def test_an_interrupted_study_continues_with_its_trials(
    rows: tuple[RankingRows, JudgedQueries], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        searched(rows, InterruptedJournal(str(tmp_path), "trees"), study_trials=5)
    (kept,) = (tmp_path / "trees").iterdir()
    assert b"learning_rate" in kept.read_bytes()
    capsys.readouterr()
    searched(rows, StudyJournal(str(tmp_path), "trees"), study_trials=5)
    said = capsys.readouterr()
    assert "continues after 2 trials" in said.out + said.err
    assert (said.out + said.err).count("s left") == 3
    assert not list(tmp_path.rglob("*.journal"))


def test_trials_of_other_rows_are_not_used(
    rows: tuple[RankingRows, JudgedQueries], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        searched(rows, InterruptedJournal(str(tmp_path), "trees"), study_trials=3)
    train, judged = rows
    capsys.readouterr()
    searched((train.keep(np.arange(len(train)) >= 20), judged), StudyJournal(str(tmp_path), "trees"), study_trials=3)
    said = capsys.readouterr()
    assert "continues" not in said.out + said.err
    assert not list(tmp_path.rglob("*.journal"))


def test_the_ranker_is_grown_with_the_parameters_of_the_study(
    tmp_path: Path, rows: tuple[RankingRows, JudgedQueries], capsys: pytest.CaptureFixture[str]
) -> None:
    config = POOR.model_copy(update={"study_trials": 4, "num_seeds": 2})
    fit_ranker(rows[0], make_rows(20, 2, with_positions=False), rows[1], FEATURES, tmp_path, config)
    said = capsys.readouterr()
    assert "study, 4 trials" in said.out + said.err
    used = re.findall(r"^\[learning_rate: (.+)\]$", (tmp_path / "model.txt").read_text(), re.MULTILINE)
    assert [float(value) for value in used] != [POOR.learning_rate]
