"""Refreshes the online features and popular list of the served bundle, without training or a new choice of columns.

Fills the feature sets of the served bundle and of the bundle before it, so that a rollback finds fresh features. Each
popular list is fitted for the row map and with the half-life of its bundle. Tables that lack a column of the served
bundle raise `BundleError`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from components.features.build import build_newest
from components.index.popular import fit_popularity
from components.replay.events import Events
from feature_repo.dataset.split import DAY, Split
from feature_repo.dataset.tables import PreparedTables, table_schema
from feature_repo.errors import BundleError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.progress import say
from inference.bundles.manifest import Facts
from inference.bundles.store import BundleStore
from inference.feature_store import StoreSettings, materialize
from inference.feature_store.popular_lists import by_ids


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


@dataclass(frozen=True, slots=True)
class _Bundle:
    """The parts of a bundle that a refresh renews or needs.

    Attributes:
        version: Name of the bundle.
        facts: Facts of the bundle.
        feature_set: Columns of the bundle.
        item_ids: The row map [m].
        half_life: Half-life of its popular list, days.
    """

    version: str
    facts: Facts
    feature_set: FeatureSet
    item_ids: npt.NDArray[np.object_]
    half_life: float

    @classmethod
    def read(cls, store: BundleStore, version: str, tables: PreparedTables) -> _Bundle:
        """Reads a bundle of the store.

        Raises:
            BundleError: The bundle cannot be read, or the tables lack a column of it.
        """
        facts, feature_set = store.manifest(version).facts, store.feature_set(version)
        _check(version, feature_set, tables)
        item_ids, popularity = store.popular_list(version)
        return cls(version, facts, feature_set, item_ids, popularity.half_life_days)

    @property
    def online_key(self) -> str:
        """Equal for bundles that share their online features."""
        return f"{self.facts.dataset} {self.facts.stage} {self.feature_set.hash}"

    def popular_list(self, tables: PreparedTables, as_of: float) -> bytes:
        """The popular list as of a time, as the online store holds it."""
        events = Events.read(tables, self.item_ids)
        return by_ids(fit_popularity(events, len(self.item_ids), as_of, self.half_life), self.item_ids)


def refresh_features(
    tables_dir: Path,
    store: BundleStore,
    place: Callable[[Facts], StoreSettings],
    now: float | None = None,
    read_at: float | None = None,
) -> Refreshed:
    """Fills the online store with the state of every user and item as of now, and with the popular lists.

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
    bundles = _bundles(store, served, tables)
    counts: list[dict[str, int]] = []  # the served bundle first
    as_of = end
    for key in dict.fromkeys(bundle.online_key for bundle in bundles):
        alike = [bundle for bundle in bundles if bundle.online_key == key]
        feature_set = alike[0].feature_set
        with tempfile.TemporaryDirectory(prefix="kuberec-refresh-") as scratch:
            as_of = build_newest(tables_dir, Path(scratch), feature_set, end)
            lists = {bundle.version: bundle.popular_list(tables, as_of) for bundle in alike}
            filled = materialize(Path(scratch), feature_set, place(alike[0].facts), as_of, read_at, lists=lists)
        counts.append(filled)
    return Refreshed(
        bundle=served,
        bundles=tuple(bundle.version for bundle in bundles),
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


def _bundles(store: BundleStore, served: str, tables: PreparedTables) -> list[_Bundle]:
    """The served bundle, and the bundle before it if the tables still have its columns.

    Raises:
        BundleError: The served bundle cannot be read, or the tables lack a column of it.
    """
    found = [_Bundle.read(store, served, tables)]
    for version in _before(store):
        try:
            found.append(_Bundle.read(store, version, tables))
        except BundleError as error:
            say(f"the features of bundle {version}, served before, are not refreshed: {error}")
    return found


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
