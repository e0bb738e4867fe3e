"""Refreshes the online features of the served bundle, without training and without a new choice of columns.

Fills the feature sets of the served bundle and of the bundle before it, so that a rollback finds fresh features. Tables
that lack a column of the served bundle raise `BundleError`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from components.features.build import build_newest
from feature_repo.dataset.split import DAY, Split
from feature_repo.dataset.tables import PreparedTables, table_schema
from feature_repo.errors import BundleError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.progress import say
from inference.bundles.manifest import Facts
from inference.bundles.store import BundleStore
from inference.feature_store import StoreSettings, materialize


class Refreshed(BaseModel):
    """The result of a refresh.

    Attributes:
        bundle: The served bundle.
        bundles: Bundles with fresh features; the served bundle first.
        num_users: Users in the newest state of the online store.
        num_items: Items in the newest state of the online store.
        as_of: Unix seconds as of which the features were computed.
        seconds: Duration of the refresh.
        overtaken: Whether the store already had newer features of the served bundle, so that they stayed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str
    bundles: tuple[str, ...]
    num_users: int
    num_items: int
    as_of: float
    seconds: float
    overtaken: bool = False


def refresh_features(
    tables_dir: Path,
    store: BundleStore,
    place: Callable[[Facts], StoreSettings],
    now: float | None = None,
    read_at: float | None = None,
) -> Refreshed:
    """Fills the online store with the state of every user and item as of now.

    Args:
        tables_dir: Clean prepared tables of dataset and log.
        store: The dataset's bundle store.
        place: Facts of a bundle -> settings of its online store.
        now: The wall clock in unix seconds; None reads the clock.
        read_at: When the dataset was read, unix seconds; None reads the clock.

    Raises:
        BundleError: No bundle is served, or the tables lack a column of the served bundle.
        FeatureStoreError: The online store cannot be filled.
    """
    started = time.monotonic()
    now = time.time() if now is None else now
    tables = PreparedTables.open(tables_dir)
    served, end = require_served(store), newest_moment(tables.split, now)
    done: dict[str, str] = {}  # online keys -> bundle
    bundles = [served]
    counts: list[dict[str, int]] = []  # the served bundle first
    as_of = end
    for version in (served, *_before(store)):
        try:
            facts, feature_set = store.manifest(version).facts, store.feature_set(version)
            _check(version, feature_set, tables)
        except BundleError as error:
            if version == served:
                raise
            say(f"the features of bundle {version}, served before, are not refreshed: {error}")
            continue
        key = f"{facts.dataset} {facts.stage} {feature_set.hash}"
        if key not in done:
            with tempfile.TemporaryDirectory(prefix="kuberec-refresh-") as scratch:
                as_of = build_newest(tables_dir, Path(scratch), feature_set, end)
                counts.append(materialize(Path(scratch), feature_set, place(facts), as_of, read_at))
            done[key] = version
        bundles += [version] if version != served else []
    return Refreshed(
        bundle=served,
        bundles=tuple(bundles),
        num_users=counts[0].get("user_stats", 0),
        num_items=counts[0].get("item_stats", 0),
        as_of=as_of,
        seconds=time.monotonic() - started,
        overtaken=not counts[0],
    )


def require_served(store: BundleStore) -> str:
    """The served version.

    Raises:
        BundleError: No bundle is served.
    """
    version = store.current()
    if version is None:
        raise BundleError(f"{store.url} has no current bundle whose features could be refreshed: train a bundle first.")
    return version


def _before(store: BundleStore) -> list[str]:
    """The previously served version as a list; empty if there is none."""
    try:
        version = store.previous()
    except BundleError as error:  # refreshing the served bundle matters more
        say(f"the previously served bundle is unknown, its features are not refreshed: {error}")
        return []
    return [] if version is None else [version]


def newest_moment(split: Split, now: float) -> float:
    """Unix seconds up to which events count: now for a log that still grows, else the log's end.

    A log that ended more than a day ago is served with the clock `log`, see `PipelineSettings.serving`. Servers accept
    events up to a day ahead from clients with wrong clocks; such events count as known now and do not move any window.
    """
    return now if abs(now - split.log_end) <= DAY else split.log_end


def _check(version: str, feature_set: FeatureSet, tables: PreparedTables) -> None:
    """Raises BundleError if the tables lack the objectives or columns of a bundle's feature set."""
    if feature_set.objectives != tuple(tables.objectives):
        raise BundleError(
            f"Bundle {version} learned the objectives {', '.join(feature_set.objectives)}, but dataset.toml has "
            f"{', '.join(tables.objectives)}: train again."
        )
    wanted = {
        "users": (*feature_set.user_categorical, *feature_set.user_extras),
        "items": (*feature_set.item_categorical, *feature_set.item_extras),
    }
    for table, names in wanted.items():
        present = table_schema(table, tables.config).names
        for name in names:
            if name not in present:
                raise BundleError(
                    f"Bundle {version} learned from '{name}' of {table}, which [features.{table}] of dataset.toml no "
                    "longer lists: list it again, or train again."
                )
