"""Compares the new bundle with the served bundle on events that neither was fitted on.

The comparison uses events after the test start and after the served bundle's feature and weight times. Both bundles
answer the same queries at that moment, with users and catalogue as known then. Each bundle keeps its own models and
feature set. The new bundle takes neighbours, popular lists and item embeddings as of that moment, as a release would.
Otherwise the served bundle would win only because it is days fresher than the test start allows.

Items that users took from slates of a release are excluded from the lists and the relevant items of both bundles.
Users take what they see, so such events favour the policy that chose the slate (exposure bias; Chaney et al., "How
Algorithmic Confounding in Recommendation Systems Increases Homogeneity and Decreases Utility", RecSys 2018).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.dataset import dataset, field

from components.evaluation import metrics
from components.evaluation.baselines.method import Listed
from components.evaluation.funnel import ask, ask_queries
from components.evaluation.gate.gate import ENOUGH_USERS, FUNNEL, SERVED, Served
from components.evaluation.protocols.log import EventLog, Ragged, microseconds
from components.evaluation.protocols.protocol import Task, make_task, ruled_out
from components.evaluation.protocols.setting import Setting
from components.evaluation.scores import ndcg_scores
from components.index.build import build_cutoff
from components.replay.cutoff import Cutoff
from components.replay.replay import Replay
from feature_repo.dataset.split import Split
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.features.state import IntArray
from feature_repo.progress import say
from feature_repo.storage.files import write_parquet
from inference.bundles.bundle import Bundle
from inference.candidates.query import Query
from inference.feature_store.historical import HistoricalFeatures
from inference.feature_store.state_columns import stored_item_numbers, stored_item_texts, stored_user_numbers
from inference.scorers.local import LocalScorer
from inference.scorers.protocol import Ranker


def compare(bundle: Bundle, setting: Setting, tables_dir: Path, cutoff: Cutoff, ranker: Ranker | None) -> Served | None:
    """NDCG@20 of both bundles on the span after the served bundle's times.

    Args:
        bundle: The served bundle.
        setting: The setting of the evaluation on the new log.
        tables_dir: Prepared tables of the new log.
        cutoff: Cutoff `test` of the new run.
        ranker: The new ranker.

    Returns:
        Paired NDCG@20. None if fewer than `ENOUGH_USERS` users acted independently of slates, or if the new
        log lacks features of the served bundle; a progress line gives the reason.
    """
    facts = bundle.manifest.facts
    tables = PreparedTables.open(tables_dir)
    split = tables.split
    start = _next_cut(split, max(split.test_start, facts.weights_until, facts.features_as_of))
    excluded = ruled_out(setting.log.before(microseconds(start)), setting.repeats, setting.strongest)
    caused = taken_from_slates(tables, setting.log, microseconds(start))
    task = make_task(setting.log, microseconds(start), setting.end, excluded.union(caused))
    if len(task) < ENOUGH_USERS:
        independently = " independently of its slates" if len(caused.rows) else ""
        say(
            f"gate: {len(task)} users acted{independently} after the served bundle {bundle.version} was made, "
            f"{ENOUGH_USERS} are needed; not compared"
        )
        return None
    missing = _missing_columns(bundle, cutoff.features_dir)
    if missing:
        say(f"gate: this log has no {', '.join(missing)} for the served bundle {bundle.version}; not compared")
        return None
    served = _served_lists(bundle, setting, cutoff.features_dir, task, start)
    if start > split.test_start:
        with tempfile.TemporaryDirectory(prefix="kuberec-candidate-") as scratch:
            later = Path(scratch)
            earlier, features = cutoff.directory, cutoff.features_dir
            build_cutoff(tables_dir, features, cutoff.towers_dir, later, name="test", until=start, earlier_dir=earlier)
            candidate = _candidate_lists(
                setting, Cutoff(later, cutoff.features_dir, cutoff.ranker_dir), ranker, task, start
            )
    else:
        candidate = _candidate_lists(setting, cutoff, ranker, task, start)
    return Served(bundle.version, ndcg_scores({FUNNEL: candidate, SERVED: served}, task, setting.log))


def taken_from_slates(tables: PreparedTables, log: EventLog, start: int) -> Ragged:
    """Items that users interacted with in response to a slate of a release, for every user code [u].

    Args:
        tables: Tables whose served log holds the slates.
        log: Interactions of the tables, in the same order.
        start: Start of the span, unix microseconds.
    """
    own = tables.description["num_own"]
    keys = ["user_id", "request_id"]
    shown = dataset(tables.path("impressions")).to_table(keys, filter=field("row") >= own["impressions"])
    events = tables.read("interactions", ["row", *keys])
    # A slate may be missing from the log, but an event never is. So an event with a request id answers a slate.
    logged = pc.and_(pc.greater_equal(events["row"], own["interactions"]), pc.is_valid(events["request_id"]))
    answers = events.join(shown, keys, join_type="left semi")["row"]
    answered = pc.or_(logged, pc.is_in(events["row"], answers))
    caused = log.where(answered.to_numpy() & (log.times >= start))
    return Ragged.from_pairs(caused.users, caused.rows, len(log.user_ids))


def _candidate_lists(setting: Setting, cutoff: Cutoff, ranker: Ranker | None, task: Task, start: float) -> IntArray:
    """The new bundle's lists, with users and catalogue as of `start`."""
    with HistoricalFeatures(cutoff.features_dir) as reader:
        scorer = None if ranker is None else LocalScorer(ranker, with_probabilities=False)
        replay = Replay(cutoff.artifacts(reader.items(start)), reader, np.array([start]), scorer)
        return ask(replay.recommender(start), setting.log, task.users, start)[1].lists(task.users, task.excluded)


def _served_lists(bundle: Bundle, setting: Setting, features_dir: Path, task: Task, start: float) -> IntArray:
    """The served bundle's lists in rows of the new log, with users and catalogue as of `start`."""
    with tempfile.TemporaryDirectory(prefix="kuberec-served-") as scratch:
        features = FeaturesDirectory(Path(scratch))
        for path in (FeaturesDirectory(features_dir).snapshots, FeaturesDirectory(features_dir).events_file):
            (features.path / path.name).symlink_to(path.resolve())
        bundle.feature_set.save(features.feature_set_file)
        base = bundle.artifacts()
        write_parquet(features.item_ids_file, pa.table({"item_id": pa.array(base.items.item_ids, pa.string())}))
        with HistoricalFeatures(features.path) as reader:
            replay = Replay(base, reader, np.array([start]), LocalScorer(bundle.ranker(), with_probabilities=False))
            users = setting.log.user_ids[task.users].tolist()
            queries = [Query(user_id=user, time=start, count=metrics.LIST_LENGTH) for user in users]
            listed = ask_queries(replay.recommender(start), queries, task.users)[1]
    place = np.minimum(np.searchsorted(setting.log.item_ids, base.items.item_ids), len(setting.log.item_ids) - 1)
    known = setting.log.item_ids[place] == base.items.item_ids
    row_of = np.append(np.where(known, place, -1), -1).astype(np.int32)
    return Listed(task.users, row_of[listed.rows]).lists(task.users, task.excluded)


def _missing_columns(bundle: Bundle, features_dir: Path) -> list[str]:
    """Columns that the bundle's feature set reads and the new snapshots lack."""
    snapshots = FeaturesDirectory(features_dir).snapshots
    there = {name for path in snapshots.glob("*.parquet") for name in pq.read_schema(path).names}
    feature_set = bundle.feature_set
    wanted = (
        *stored_user_numbers(feature_set),
        *feature_set.user_categorical,
        *stored_item_numbers(feature_set),
        *stored_item_texts(feature_set),
    )
    return sorted(set(wanted) - there)


def _next_cut(split: Split, time: float) -> float:
    """The first cut at or after a time; the log's end if there is no such cut."""
    cuts = split.cuts()
    return float(cuts[min(int(np.searchsorted(cuts, time)), len(cuts) - 1)])
