"""Releases a trained bundle: fills the online store, publishes the bundle and replaces `current`.

Runs only after the gate. The order matters: first the features, then the immutable bundle, then the atomic replacement
of `current`, which servers see. An interruption before the last step leaves the served bundle unchanged.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import pyarrow.parquet as pq

from components.evaluation.reports.facts import capital
from components.release.pruning import prune
from components.replay.cutoff import Cutoff
from feature_repo.dataset.tables import PreparedTables
from feature_repo.errors import KuberecError, NotReleased
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.progress import say
from feature_repo.storage.files import read_json
from inference.bundles.bundle import BundleContent, write_bundle
from inference.bundles.manifest import Facts
from inference.bundles.store import BundleStore
from inference.drift.reference import REFERENCE_FILE
from inference.feature_store import StoreSettings, filling_lock, materialize
from inference.feature_store.historical import HistoricalFeatures
from inference.models.wording import verbs


@dataclass(frozen=True, slots=True)
class TrainedParts:
    """All parts of a release, as the training steps wrote them.

    Attributes:
        tables_dir: Clean prepared tables.
        features_dir: Features of the tables.
        cutoff_dir: Folder of the cutoff `final`.
        ranker_dir: Folder of the ranker.
        reference_dir: The drift reference; without its file the bundle has no reference.
        facts: Facts for the manifest.
    """

    tables_dir: Path
    features_dir: Path
    cutoff_dir: Path
    ranker_dir: Path
    reference_dir: Path
    facts: Facts


def release(made: TrainedParts, store: BundleStore, online: StoreSettings) -> str:
    """Releases trained parts, then removes bundles and online features that are no longer needed.

    Args:
        made: The parts.
        store: Receives the bundle.
        online: The online feature store to fill.

    Returns:
        The version that is now served. If the served bundle was made of the same data, code and weights, its version.

    Raises:
        NotReleased: A run that read the dataset later has released a bundle meanwhile.
        KuberecError: A part does not fit, or a store cannot be written; the served bundle is unchanged.
    """
    tables, features = PreparedTables.open(made.tables_dir), FeaturesDirectory(made.features_dir)
    feature_set = features.feature_set()
    as_of = tables.split.stamp(tables.split.log_end)
    # The lock lasts until the bundle is served, because a concurrent `prune` removes features without lock and bundle.
    with filling_lock(online, feature_set) as lock:
        _require_newest(made.facts, store)
        materialize(made.features_dir, feature_set, online, as_of, made.facts.read_at or None, lock)
        lock.keep()
        version = _publish(made, store, as_of)
    _prune(store, online)
    return version


def _require_newest(made: Facts, store: BundleStore) -> None:
    """Raises NotReleased if the served bundle was made of a dataset that was read later; runs may overlap."""
    served = store.current()
    if served is not None and made.read_at and store.manifest(served).facts.read_at > made.read_at:
        raise NotReleased(
            f"Not released: bundle {served} was released by a run that read the dataset later than this run; it stays "
            "in service."
        )


def _publish(made: TrainedParts, store: BundleStore, as_of: float) -> str:
    """Publishes the bundle and makes it current; returns the served version."""
    served = store.current()
    if served is not None and made_of_the_same(made.facts, store.manifest(served).facts):
        say(f"release: bundle {served} was made of the same data, code and weights and stays served")
        return served
    tables, features = PreparedTables.open(made.tables_dir), FeaturesDirectory(made.features_dir)
    cutoff = Cutoff(made.cutoff_dir, made.features_dir, made.ranker_dir)
    with (
        tempfile.TemporaryDirectory(prefix="kuberec-release-") as scratch,
        HistoricalFeatures(made.features_dir) as reader,
    ):
        content = BundleContent(
            feature_set=features.feature_set(),
            items=reader.items(as_of),
            contents=pq.read_table(features.items_static_file),
            config=cutoff.config().model_copy(
                update={
                    "verbs": verbs(tables.config.objectives),
                    "event_grades": dict(tables.config.event_grades),
                }
            ),
            parts=cutoff.directory,
            ranker=made.ranker_dir,
            reference=made.reference_dir if (made.reference_dir / REFERENCE_FILE).is_file() else None,
        )
        bundle = write_bundle(content, Path(scratch), made.facts)
        store.publish(bundle)
    store.set_current(bundle.version)
    say(f"release: bundle {bundle.version} is served")
    return bundle.version


def _prune(store: BundleStore, online: StoreSettings) -> None:
    """Removes what is no longer needed; a failure does not undo the release."""
    try:
        pruned = prune(store, lambda facts: replace(online, dataset=facts.dataset, stage=facts.stage))
    except KuberecError as error:
        say(f"release: unused bundles and features are not removed: {error}")
        return
    if pruned.bundles or pruned.num_features:
        say(f"release: {pruned.sentence()}")


def release_facts(
    tables_dir: Path,
    evaluation_dir: Path,
    *,
    code_version: str,
    refitted: bool,
    cause: str = "",
    reference_days: int = 0,
    read_at: float = 0.0,
) -> Facts:
    """The facts for the manifest of a release.

    Args:
        tables_dir: Clean prepared tables.
        evaluation_dir: The evaluation and the gate's decision.
        code_version: Version of the code that made the bundle.
        refitted: Whether the towers were fitted again up to the log's end.
        cause: Why the bundle was trained; "" if drift did not start the training.
        reference_days: Number of days that the drift reference replays.
        read_at: When the dataset was read, unix seconds; 0 if unknown.
    """
    tables, measured = PreparedTables.open(tables_dir), _evaluation(evaluation_dir)
    split, gate = tables.split, measured["gate"]
    end = split.stamp(split.log_end)
    return Facts(
        dataset=tables.config.name,
        fingerprint=str(tables.description["fingerprint"]),
        code_version=code_version,
        log_end=split.log_end,
        weights_until=end if refitted else split.test_start,
        ranker_until=split.test_start,
        features_as_of=end,
        refitted=refitted,
        metrics={"methods": measured["methods"], "impressions": measured["impressions"]},
        evidence=gate["evidence"],
        order=gate["order"],
        gate="passed" if gate["passed"] else "warn",
        cause=cause,
        reference_days=reference_days,
        read_at=read_at,
    )


def refuse(evaluation_dir: Path) -> NoReturn:
    """Raises the gate's sentence.

    Raises:
        NotReleased: Always.
    """
    raise NotReleased(f"{capital(_evaluation(evaluation_dir)['gate']['sentence'])}.")


def made_of_the_same(made: Facts, served: Facts) -> bool:
    """Whether the facts differ at most by a cause that `made` lacks, and by the time at which the dataset was read.

    A release with a new cause is a new bundle.
    """
    return made.model_copy(update={"cause": made.cause or served.cause, "read_at": served.read_at}) == served


def _evaluation(evaluation_dir: Path) -> dict[str, Any]:
    content: dict[str, Any] = read_json(evaluation_dir / "evaluation.json")
    return content
