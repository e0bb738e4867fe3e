"""Features as of now for what is served: no training, and no new choice of columns.

Owns which feature sets are filled, that of the served bundle and that of the one before it, so that a rollback meets
fresh features; and as of when. Refuses tables that lack what the served bundle learned from.
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
    """What a refresh did.

    Attributes:
        bundle: The served bundle.
        bundles: Those whose features are fresh now, the served one first.
        num_users: Users in the online store's newest state.
        num_items: Items in it.
        as_of: Time as of which the features are, unix seconds.
        seconds: What computing and filling took.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str
    bundles: tuple[str, ...]
    num_users: int
    num_items: int
    as_of: float
    seconds: float


def refresh_features(
    tables_dir: Path, store: BundleStore, place: Callable[[Facts], StoreSettings], now: float | None = None
) -> Refreshed:
    """Fills the online store with the state of every user and item as of now.

    Args:
        tables_dir: Clean prepared tables of dataset and log.
        store: The dataset's bundles.
        place: Where the online features of a bundle are.
        now: The wall clock in unix seconds; taken here where None.

    Raises:
        BundleError: Nothing is served, or the tables lack what the served bundle learned from.
        FeatureStoreError: The online store cannot be filled.
    """
    started = time.monotonic()
    now = time.time() if now is None else now
    tables = PreparedTables.open(tables_dir)
    served, end = require_served(store), newest_moment(tables.split, now)
    done: dict[str, str] = {}  # online keys -> bundle
    bundles = [served]
    counts: dict[str, int] = {}
    as_of = end
    for version in (served, *_before(store)):
        try:
            facts, feature_set = store.manifest(version).facts, store.feature_set(version)
            _check(version, feature_set, tables)
        except BundleError as error:
            if version == served:
                raise
            say(f"the features of bundle {version}, served before, stay as they are: {error}")
            continue
        key = f"{facts.dataset} {facts.stage} {feature_set.hash}"
        if key not in done:
            with tempfile.TemporaryDirectory(prefix="kuberec-refresh-") as scratch:
                as_of = build_newest(tables_dir, Path(scratch), feature_set, end)
                written = materialize(Path(scratch), feature_set, place(facts), as_of, computed_at=now)
            counts = counts or written
            done[key] = version
        bundles += [version] if version != served else []
    return Refreshed(
        bundle=served,
        bundles=tuple(bundles),
        num_users=counts["user_stats"],
        num_items=counts["item_stats"],
        as_of=as_of,
        seconds=time.monotonic() - started,
    )


def require_served(store: BundleStore) -> str:
    """The version served.

    Raises:
        BundleError: There is none.
    """
    version = store.current()
    if version is None:
        raise BundleError(f"{store.url} has no current bundle whose features could be refreshed: train one first")
    return version


def _before(store: BundleStore) -> list[str]:
    """The version served before, if any."""
    try:
        version = store.previous()
    except BundleError as error:  # the served one is what matters
        say(f"which bundle was served before cannot be told, its features stay as they are: {error}")
        return []
    return [] if version is None else [version]


def newest_moment(split: Split, now: float) -> float:
    """Until when facts count, unix seconds: until now for a log that goes on, else until the log's end.

    A log that ended over a day ago is served by its own clock, see `PipelineSettings.serving`. Servers take events of
    up to a day ahead, from clients whose clocks are wrong: those count as known now, and move nobody's windows.
    """
    return now if abs(now - split.log_end) <= DAY else split.log_end


def _check(version: str, feature_set: FeatureSet, tables: PreparedTables) -> None:
    """Refuses tables from which the columns cannot be made."""
    if feature_set.objectives != tuple(tables.objectives):
        raise BundleError(
            f"bundle {version} learned the objectives {', '.join(feature_set.objectives)}, and dataset.toml has "
            f"{', '.join(tables.objectives)}: train again"
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
                    f"bundle {version} learned from '{name}' of {table}, which [features.{table}] of dataset.toml no "
                    "longer lists: list it again, or train again"
                )
