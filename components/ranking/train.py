"""Trains the ranker of a run: rows from the recommender of the cutoff `rank`, LambdaMART, probabilities."""

from __future__ import annotations

from pathlib import Path

from components.ranking.build import RowSampling, build_rows
from components.ranking.fit import RankerConfig, fit_ranker
from components.ranking.logged_rows import read_served, with_served
from components.replay.cutoff import Cutoff
from components.replay.groups import read_groups
from components.replay.held_out import held_out_groups
from components.replay.renewal import RenewalPolicy
from components.replay.replay import Replay
from components.validation.spans import require
from feature_repo.dataset.tables import PreparedTables
from feature_repo.progress import say
from inference.feature_store.historical import HistoricalFeatures

MAX_ROWS = 1_000_000
VALIDATION_SHARE = 0.3  # of MAX_ROWS, for early stopping and calibration
OUTCOMES = 10  # expected rows per group in addition to its sampled candidates


def train_ranker(
    tables_dir: Path,
    features_dir: Path,
    cutoff_dir: Path,
    out_dir: Path,
    *,
    config: RankerConfig | None = None,
    max_rows: int = MAX_ROWS,
    seed: int = 0,
    log: str = "",
) -> dict[str, float]:
    """Trains a ranker and writes its folder.

    Args:
        tables_dir: Clean prepared tables, or tables of leave-one-out, whose groups are the held-out items.
        features_dir: Features of the tables.
        cutoff_dir: Folder of the cutoff `rank`, which is fitted on events before the first group.
        out_dir: Receives the files of the ranker, see `fit_ranker`.
        config: Parameters of the trees.
        max_rows: Maximum number of rows (about 400 bytes each); groups are sampled to respect it.
        seed: Seed of the sampling and of the trees.
        log: The served log that the tables were ingested with, a directory or URL, "" for none. The heads learn from
            the log's features where it has them.

    Returns:
        Metrics of the run: those of `fit_ranker`, and the number of rows with features from the served log.

    Raises:
        DatasetError: A span before the test span holds no positive event, no source returns a liked item, or a part of
            the log cannot be read.
        StorageError: A remote log cannot be reached.
    """
    tables, cutoff = PreparedTables.open(tables_dir), Cutoff(cutoff_dir, features_dir)
    split = tables.split
    sampling = RowSampling(seed=seed)
    most = max(1, max_rows // (sampling.negatives + OUTCOMES))
    learn, watch = int(most * (1 - VALIDATION_SHARE)), int(most * VALIDATION_SHARE)
    if tables.holds_out:
        train = held_out_groups(tables, "rank", limit=learn, seed=seed)
        validation = held_out_groups(tables, "validation", limit=watch, seed=seed)
    else:
        start = split.rank_start
        train = read_groups(tables, start, split.validation_start, limit=learn, seed=seed, count_silent=False)
        validation = read_groups(tables, split.validation_start, split.test_start, limit=watch, seed=seed)
    for span, groups in (("rank", train), ("validation", validation)):
        require(groups.grades.any(), f"the {span} span of the log holds no positive event")
    say(f"ranker: {len(train):,} groups to learn from, {len(validation):,} to validate")
    with HistoricalFeatures(features_dir) as reader:
        cuts = split.cuts_within(split.rank_start, split.test_start)
        # Neighbours of leave-one-out are fitted once, without held-out items, for training rows and for the test.
        policy = RenewalPolicy(neighbours=not tables.holds_out)
        replay = Replay.of(tables, cutoff, reader, cuts, policy)
        train_rows = build_rows(train, replay, sampling, what="training rows")
        validation_rows = build_rows(validation, replay, sampling, what="validation rows")
    for span, built in (("rank", train_rows), ("validation", validation_rows)):
        require(len(built.learnable()) > 0, f"no source brings an item that was liked in the {span} span of the log")
    out_dir.mkdir(parents=True, exist_ok=True)
    feature_set = cutoff.feature_set
    served, num_served = None, 0
    if log:
        # The heads are fitted on shown rows only, so the other rows are not copied.
        learned = with_served(
            train_rows.keep(train_rows.shown), train, read_served(log, train, feature_set), feature_set
        )
        judged = with_served(validation_rows, validation, read_served(log, validation, feature_set), feature_set)
        served, num_served = (learned[0], judged[0]), learned[1] + judged[1]
        say(f"ranker: {num_served:,} rows of the heads have served features")
    numbers = fit_ranker(
        train_rows, validation_rows, feature_set, out_dir, config or RankerConfig(seed=seed), served=served
    )
    return {**numbers, "logged_rows": float(num_served)}
