"""The drift reference of a release: slates of its recommender, replayed over the log's last days.

Training rows have another distribution, because other policies chose the shown items and candidates were never shown.
So the released recommender is replayed over the queries of the span, with users and items as they were at the time.
The reference counts the slates of this replay.

Neighbours, popularity and counts of items are those of the last cut before a query, because they must not know the
user's next events. Declared columns of items (price, stock) are those of the following cut, because servers see such
changes at once. A slate has the length of the slate in the log, because the tail of a longer slate looks different.
Requests of the surface `similar` and of users unknown at the time are left out, because the ranker does not order them.
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

MOST_QUERIES = 3_000  # adds less than 0.005 of random PSI on this side; a query takes about 6 ms
NUM_THREADS = 2


@dataclass(frozen=True, slots=True)
class ReplayedSpan:
    """The requests of the log's last days, and the recommender's slates for them.

    Attributes:
        groups: The log's requests, with the items that the log itself showed.
        shown: Rows of the ranked slates, with the columns of the impression log.
        days: Start of each day of the span, unix seconds.
        end: End of the span, unix seconds.
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
        features_dir: Features of the tables; the span never begins before their first snapshot.
        cutoff_dir: Folder of the cutoff `final`.
        ranker_dir: Folder of the ranker.
        out_dir: Receives the files; stays empty if no query of the span was ranked.
        days: Length of the span, which ends with the log.
        seed: Seed of the sampling of queries above `MOST_QUERIES`, and of the sample of rows.

    Returns:
        Numbers for the metrics of the run.
    """
    tables, cutoff = PreparedTables.open(tables_dir), Cutoff(cutoff_dir, features_dir, ranker_dir)
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
        say("reference: none, because no request of the log's last days can be ranked; drift will not be measured")
    return {"requests": float(sum(num_requests)), "rows": float(replayed.shown.num_rows)}


def replay(tables: PreparedTables, cutoff: Cutoff, ranker: Ranker, *, days: int, seed: int) -> ReplayedSpan:
    """Asks the recommender the queries of the log's last days.

    Args:
        tables: Clean prepared tables.
        cutoff: Cutoff `final`.
        ranker: The ranker.
        days: Length of the span.
        seed: Seed of the sampling of queries.
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
    cuts, starts = _since(split.cuts(), start), _since(split.user_cuts(), start)
    with HistoricalFeatures(cutoff.features_dir) as reader:
        policy = RenewalPolicy(neighbours=True, declared=True)
        replayed = Replay.of(tables, cutoff, reader, cuts, policy, LocalScorer(ranker))
        shown = [impressions_schema(cutoff.feature_set).empty_table()]
        for recommender, places in replayed.by_cut(queries, "replaying the last days"):
            slates = recommender.recommend([queries[place] for place in places])
            shown.append(ranked_rows(impressions_table(slates, recommender.artifacts)))
    return ReplayedSpan(groups, pa.concat_tables(shown), starts, end)


def _since(cuts: npt.NDArray[np.float64], start: float) -> npt.NDArray[np.float64]:
    """The cuts from the latest one that is not after a time; without the log's end, unless it is the only one."""
    kept = cuts[max(int(np.searchsorted(cuts, start, side="right")) - 1, 0) :]
    return kept[:-1] if len(kept) > 1 else kept


def requests_a_day(replayed: ReplayedSpan) -> tuple[int, ...]:
    """Number of ranked requests per day."""
    _, first = np.unique(replayed.shown["request_id"].to_numpy(), return_index=True)
    times = replayed.shown["timestamp"].cast(pa.int64()).to_numpy()[first] / 1e6
    places = np.maximum(np.searchsorted(replayed.days, times, side="right") - 1, 0)
    return tuple(np.bincount(places, minlength=len(replayed.days)).tolist())


def _labels(
    tables: PreparedTables, replayed: ReplayedSpan
) -> tuple[dict[str, npt.NDArray[np.float64]] | str, npt.NDArray[np.int64]]:
    """Labels of the log's own slates for these requests by label column, and the day of each row."""
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
