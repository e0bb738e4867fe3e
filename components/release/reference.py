"""The drift reference of a release: what its recommender would have shown over the log's last days.

Training rows are another distribution: they hold what other policies showed, and candidates that nobody saw. So the
released recommender is replayed over the queries of the span, with the state of users and items as it was then, and
what it would have shown is counted. Neighbours, popularity and what is counted of items are those of the last cut
before a query: they must not know what its user was about to do. What is declared of items (price, stock) is that of
the cut after it: servers see such changes at once. A slate is as long as the one that the log shows, for the tail of
a longer one looks different. Owns which queries are replayed; refuses the surface `similar` and users unknown by then,
whom the ranker does not order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.release.profile import profile, sample
from components.replay.cutoff import Cutoff
from components.replay.groups import Groups, read_groups
from components.replay.renewal import RenewalPolicy
from components.replay.replay import Replay
from feature_repo.dataset.split import DAY
from feature_repo.dataset.tables import PreparedTables, label_column
from feature_repo.progress import say
from inference.candidates.surfaces import surface_of
from inference.drift.reference import Reference
from inference.drift.watched import counted_tables, effective_requests, num_units, ranked_rows, watched
from inference.feature_store.historical import HistoricalFeatures
from inference.log.impressions import impressions_schema, impressions_table
from inference.scorers.local import LocalScorer
from inference.scorers.protocol import Ranker
from inference.scorers.ranker import open_ranker

MOST_QUERIES = 3_000  # which leaves PSI less than 0.005 of chance on this side; asking takes some 6 ms each
NUM_THREADS = 2


@dataclass(frozen=True, slots=True)
class ReplayedSpan:
    """The requests of the log's last days, and the slates that the recommender answers them with.

    Attributes:
        groups: The log's requests, with what the log itself showed.
        shown: Rows of the slates that were ranked, as the impression log has them.
        days: Start of each day of the span, unix seconds.
        end: Its end.
    """

    groups: Groups
    shown: pa.Table
    days: npt.NDArray[np.float64]
    end: float


def make_reference(
    tables_dir: Path, features_dir: Path, cutoff_dir: Path, ranker_dir: Path, out_dir: Path, *, days: int, seed: int = 0
) -> dict[str, float]:
    """Writes the folder `reference/` of a bundle.

    Args:
        tables_dir: Clean prepared tables.
        features_dir: Their features; the span never begins before their first snapshot.
        cutoff_dir: Cutoff `final`.
        ranker_dir: The ranker.
        out_dir: Receives the files; nothing where no query of the span was ranked.
        days: Length of the span that ends with the log.
        seed: Of the sampling of queries above `MOST_QUERIES`, and of the sample.

    Returns:
        Numbers for the run's metrics.
    """
    tables, cutoff = PreparedTables.open(tables_dir), Cutoff(cutoff_dir, features_dir)
    replayed = replay(tables, cutoff, open_ranker(ranker_dir, NUM_THREADS), days=days, seed=seed)
    columns = watched(cutoff.feature_set)
    out_dir.mkdir(parents=True, exist_ok=True)
    num_requests = requests_a_day(replayed)
    if sum(num_requests):
        labels, label_days = _labels(tables, replayed)
        counted = counted_tables(replayed.shown)
        Reference(
            feature_hash=cutoff.feature_set.hash,
            start=float(replayed.days[0]),
            end=replayed.end,
            num_requests=num_requests,
            num_rows=replayed.shown.num_rows,
            num_units=num_units(counted),
            effective_requests=effective_requests(replayed.shown),
            objectives=dict(tables.config.objectives),
            columns=profile(counted, labels, label_days, columns, replayed.days),
        ).save(out_dir, sample(replayed.shown, seed))
        say(f"reference: {sum(num_requests):,} requests of {len(num_requests)} days, {replayed.shown.num_rows:,} rows")
    else:
        say("reference: none, as no request of the log's last days can be ranked; drift will not be measured")
    return {"requests": float(sum(num_requests)), "rows": float(replayed.shown.num_rows)}


def replay(tables: PreparedTables, cutoff: Cutoff, ranker: Ranker, *, days: int, seed: int) -> ReplayedSpan:
    """Asks the recommender what the log's users asked in its last days.

    Args:
        tables: Clean prepared tables.
        cutoff: Cutoff `final`.
        ranker: The ranker.
        days: Length of the span.
        seed: Of the sampling of queries.
    """
    split = tables.split
    start, end = max(split.log_end - days * DAY, split.rank_start), split.stamp(split.log_end)
    groups = read_groups(tables, start, end, limit=MOST_QUERIES, seed=seed)
    sizes = groups.num_shown() if tables.has_slates else [0] * len(groups)
    queries = [
        replace(query, request_id=f"replay-{place}", count=num or query.count)
        for place, (query, num) in enumerate(zip(groups.queries, sizes, strict=True))
        if surface_of(query.surface).ranked
    ]
    cuts = split.cuts()
    cuts = cuts[max(int(np.searchsorted(cuts, start, side="right")) - 1, 0) :]
    last = cuts[:-1] if len(cuts) > 1 else cuts
    with HistoricalFeatures(cutoff.features_dir) as reader:
        policy = RenewalPolicy(neighbours=True, declared=True)
        replayed = Replay.of(tables, cutoff, reader, last, policy, LocalScorer(ranker))
        shown = [impressions_schema(cutoff.feature_set).empty_table()]
        for recommender, places in replayed.by_cut(queries, "replaying the last days"):
            slates = recommender.recommend([queries[place] for place in places])
            shown.append(ranked_rows(impressions_table(slates, recommender.artifacts)))
    return ReplayedSpan(groups, pa.concat_tables(shown), last, end)


def requests_a_day(replayed: ReplayedSpan) -> tuple[int, ...]:
    """Requests of each day that were ranked."""
    _, first = np.unique(replayed.shown["request_id"].to_numpy(), return_index=True)
    times = replayed.shown["timestamp"].cast(pa.int64()).to_numpy()[first] / 1e6
    places = np.maximum(np.searchsorted(replayed.days, times, side="right") - 1, 0)
    return tuple(np.bincount(places, minlength=len(replayed.days)).tolist())


def _labels(
    tables: PreparedTables, replayed: ReplayedSpan
) -> tuple[dict[str, npt.NDArray[np.float64]] | str, npt.NDArray[np.int64]]:
    """What the log's own slates of these requests led to, by label column, and the day of each row."""
    groups = replayed.groups
    if not tables.has_slates:
        return "the log has no slates", np.zeros(0, dtype=np.int64)
    asked = np.array([surface_of(query.surface).ranked for query in groups.queries], dtype=np.bool_)
    times = np.array([query.time for query in groups.queries])
    sizes = np.diff(groups.offsets)
    kept = groups.shown & np.repeat(asked, sizes)
    days = np.repeat(np.maximum(np.searchsorted(replayed.days, times, side="right") - 1, 0), sizes)[kept]
    labels = {
        label_column(name): groups.labels[kept, place].astype(np.float64)
        for place, name in enumerate(tables.objectives)
    }
    return labels, days
