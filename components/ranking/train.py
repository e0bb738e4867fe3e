"""Trains the ranker of a run: rows by the recommender of stage `rank`, LambdaMART, probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.ranking.build import RowSampling, build_rows
from components.ranking.fit import RankerConfig, fit_ranker
from components.ranking.rows import RankingRows
from components.replay.groups import Groups, read_groups
from components.replay.past import artifacts_as_of
from components.replay.stage import Stage
from components.validation.spans import require
from feature_repo.dataset.tables import PreparedTables
from feature_repo.progress import say
from inference.feature_store.historical import HistoricalFeatures

MAX_ROWS = 1_000_000
VALIDATION_SHARE = 0.3  # of MAX_ROWS, for early stopping and calibration
OUTCOMES = 10  # rows a group is expected to have besides its sampled candidates


def train_ranker(
    tables_dir: Path,
    features_dir: Path,
    stage_dir: Path,
    out_dir: Path,
    *,
    config: RankerConfig | None = None,
    max_rows: int = MAX_ROWS,
    seed: int = 0,
) -> dict[str, float]:
    """Writes a ranker's folder.

    Args:
        tables_dir: Clean prepared tables.
        features_dir: Their features.
        stage_dir: Stage `rank`, fitted on events before the first group.
        out_dir: Receives the files of a ranker, see `fit_ranker`.
        config: Tree growing.
        max_rows: Bound on all rows; groups are sampled to keep it (about 400 bytes a row).
        seed: Of the sampling and the trees.

    Returns:
        Numbers for the run's metrics.

    Raises:
        DatasetError: No request, session or day before the test span has a positive event to learn from, or none
            that any source brings.
    """
    tables = PreparedTables.open(tables_dir)
    split = tables.split
    sampling = RowSampling(seed=seed)
    most = max(1, max_rows // (sampling.negatives + OUTCOMES))
    learn, watch = int(most * (1 - VALIDATION_SHARE)), int(most * VALIDATION_SHARE)
    train = read_groups(tables, split.rank_start, split.validation_start, limit=learn, seed=seed, count_silent=False)
    validation = read_groups(tables, split.validation_start, split.test_start, limit=watch, seed=seed)
    for span, groups in (("rank", train), ("validation", validation)):
        require(groups.grades.any(), f"the {span} span of the log holds no positive event")
    say(f"ranker: {len(train):,} groups to learn from, {len(validation):,} to validate")
    with HistoricalFeatures(features_dir) as reader:
        artifacts_at = artifacts_as_of(
            tables, Stage(stage_dir, features_dir), reader, split.rank_start, split.test_start
        )
        cuts = split.cuts()

        def rows(groups: Groups, what: str) -> RankingRows:
            reader.prefetch(
                [query.user_id for query in groups.queries], np.array([query.time for query in groups.queries])
            )
            return build_rows(groups, artifacts_at, cuts, reader, sampling, what=what)

        train_rows = rows(train, "training rows")
        validation_rows = rows(validation, "validation rows")
    for span, built in (("rank", train_rows), ("validation", validation_rows)):
        require(len(built.learnable()) > 0, f"no source brings an item that was liked in the {span} span of the log")
    feature_set = Stage(stage_dir, features_dir).feature_set
    out_dir.mkdir(parents=True, exist_ok=True)
    return fit_ranker(train_rows, validation_rows, feature_set, out_dir, config or RankerConfig(seed=seed))
