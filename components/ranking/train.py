"""Trains the ranker of a run: rows from the recommender of the cutoff `rank`, LambdaMART, probabilities.

The trees learn what a user likes from the query to the end of a horizon, as the evaluation asks; the probabilities are
those of the items of the request, session or day itself. A held-out item of leave-one-out is the only one that its
query asks for, so it has no horizon.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from components.ranking.build import RowSampling, build_rows
from components.ranking.fit import fit_ranker
from components.ranking.judging import JudgedQueries, judge_groups, most_judged
from components.ranking.logged_rows import read_served, with_served
from components.ranking.rows import RankingRows
from components.ranking.trees.boosting import RankerConfig
from components.ranking.validation import build_and_judge
from components.replay.cutoff import Cutoff
from components.replay.groups import Groups, read_groups
from components.replay.held_out import held_out_groups
from components.replay.horizon import Horizon
from components.replay.renewal import RenewalPolicy
from components.replay.replay import Replay
from components.validation.spans import require
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.feature_set import FeatureSet
from feature_repo.progress import say
from inference.feature_store.historical import HistoricalFeatures

MAX_ROWS = 1_000_000
VALIDATION_SHARE = 0.3  # of MAX_ROWS, for the probabilities
OUTCOMES = 10  # expected rows per group in addition to its sampled candidates


@dataclass(frozen=True, slots=True)
class _Spans:
    """The groups to learn from, those that probabilities are calibrated on, and those that judge the order."""

    rank: Groups
    validation: Groups
    judged: Groups

    @classmethod
    def read(cls, tables: PreparedTables, most: int, seed: int) -> Self:
        """Reads at most `most` groups, and as many to judge as to validate.

        A user is judged once, so that users with many sessions do not count more.
        """
        learn, watch = int(most * (1 - VALIDATION_SHARE)), int(most * VALIDATION_SHARE)
        if tables.holds_out:
            validation = held_out_groups(tables, "validation", limit=watch, seed=seed)
            return cls(held_out_groups(tables, "rank", limit=learn, seed=seed), validation, validation)
        split = tables.split
        start, middle, end = split.rank_start, split.validation_start, split.test_start
        horizon = Horizon.of(split)
        once = replace(horizon, apart=max(horizon.apart, end - middle))
        return cls(
            read_groups(tables, start, middle, limit=learn, seed=seed, count_silent=False, horizon=horizon),
            read_groups(tables, middle, end, limit=watch, seed=seed),
            read_groups(tables, middle, end, limit=watch, seed=seed, count_silent=False, horizon=once),
        )


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of the groups to learn from and to calibrate on, and all candidates of the groups that judge the order."""

    train: RankingRows
    validation: RankingRows
    judged: JudgedQueries

    @classmethod
    def build(cls, spans: _Spans, tables: PreparedTables, cutoff: Cutoff, sampling: RowSampling) -> Self:
        """Replays the recommender of the cutoff over the groups."""
        split, feature_set = tables.split, cutoff.feature_set
        cuts = split.cuts_within(split.rank_start, split.test_start)
        # Neighbours of leave-one-out are fitted once, without held-out items, for training rows and for the test.
        policy = RenewalPolicy(neighbours=not tables.holds_out)
        with HistoricalFeatures(cutoff.features_dir) as reader:
            replay = Replay.of(tables, cutoff, reader, cuts, policy)
            train = build_rows(spans.rank, replay, sampling, what="training rows")
            limit = most_judged(feature_set, cutoff.config())
            if spans.judged is spans.validation:
                both = build_and_judge(spans.validation, replay, sampling, limit=limit, what="validation rows")
                return cls(train, *both)
            validation = build_rows(spans.validation, replay, sampling, what="validation rows")
            judged = judge_groups(spans.judged, replay, limit=limit, seed=sampling.seed, what="validation queries")
        return cls(train, validation, judged)


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
    feature_set, sampling = cutoff.feature_set, RowSampling(seed=seed)
    spans = _Spans.read(tables, max(1, max_rows // (sampling.negatives + OUTCOMES)), seed)
    for span, groups in (("rank", spans.rank), ("validation", spans.validation), ("validation", spans.judged)):
        require(groups.grades.any(), f"the {span} span of the log holds no positive event")
    say(f"ranker: {len(spans.rank):,} groups to learn from, {len(spans.validation):,} to validate")
    rows = _Rows.build(spans, tables, cutoff, sampling)
    for span, found in (("rank", len(rows.train.learnable())), ("validation", rows.judged.relevant.any())):
        require(found, f"no source brings an item that was liked in the {span} span of the log")
    out_dir.mkdir(parents=True, exist_ok=True)
    served, num_served = _served(rows, spans, log, feature_set) if log else (None, 0)
    config = config or RankerConfig(seed=seed)
    name = f"{tables.config.name}-ranker-{tables.split.rank_start:.0f}"
    numbers = fit_ranker(
        rows.train, rows.validation, rows.judged, feature_set, out_dir, config, served=served, name=name
    )
    return {**numbers, "logged_rows": float(num_served)}


def _served(
    rows: _Rows, spans: _Spans, log: str, feature_set: FeatureSet
) -> tuple[tuple[RankingRows, RankingRows], int]:
    """Rows of the heads with features from the served log, and the number of rows that have them."""
    # The heads are fitted on shown rows only, so the other rows are not copied.
    shown = rows.train.keep(rows.train.shown)
    learned, num_learned = with_served(shown, spans.rank, read_served(log, spans.rank, feature_set), feature_set)
    checked, num_checked = with_served(
        rows.validation, spans.validation, read_served(log, spans.validation, feature_set), feature_set
    )
    num_served = num_learned + num_checked
    say(f"ranker: {num_served:,} rows of the heads have served features")
    return (learned, checked), num_served
