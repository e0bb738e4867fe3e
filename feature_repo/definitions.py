"""All Feast objects: entities, views over the snapshots, and the services that read the views.

Defines names and types in the feature store. Views are generated from the feature set, so that a store of one set can
never be read with another set. Project names contain dataset, stage and feature hash for the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from feature_repo.features.feature_set import HISTORY_ARRAYS, ITEM_FACTS, FeatureSet
from feature_repo.features.quick_import import without_extras
from feature_repo.storage.quoting import file_pattern

with without_extras():
    from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
    from feast.types import Array, Bool, Bytes, FeastType, Float32, Float64, String

TIMESTAMP_FIELD = "event_timestamp"
FRESHNESS_KEY, FRESHNESS_RECORD = "record", "features"  # the one key of the views `freshness` and `popularity`
FRESHNESS_FIELDS = ("computed_at", "as_of", "num_users", "num_items", "num_evicted")
LIST_BUNDLES, LISTS = "bundles", "lists"
FEAST_TYPES: dict[str, FeastType] = {"float64": Float64, "string": String, "boolean": Bool}


@dataclass(frozen=True)
class FeatureObjects:
    """The Feast objects of one feature set.

    Attributes:
        entities: User, item, and the record of `freshness` and `popularity`.
        user_stats, user_history, item_stats: Views over the snapshots of the same names.
        freshness: View of the record that says when the online rows were computed; it has no snapshot.
        popularity: View of the record with the popular lists of a refresh; it has no snapshot.
        users: Service of the user columns that training joins; it folds histories from the events.
        items: Service of all columns of the item table.
    """

    entities: tuple[Entity, Entity, Entity]
    user_stats: FeatureView
    user_history: FeatureView
    item_stats: FeatureView
    freshness: FeatureView
    popularity: FeatureView
    users: FeatureService
    items: FeatureService

    @property
    def views(self) -> tuple[FeatureView, FeatureView, FeatureView]:
        """The views over snapshots."""
        return (self.user_stats, self.user_history, self.item_stats)

    def all(self) -> list[Any]:
        """All objects to apply."""
        return [*self.entities, *self.views, self.freshness, self.popularity, self.users, self.items]


def project_name(dataset: str, stage: str, feature_hash: str) -> str:
    """Returns the Feast project of a dataset, stage and feature set; the keys of the online store end in it."""
    return f"{dataset}_{stage}_{feature_hash[:8]}".replace("-", "_")


def feature_objects(feature_set: FeatureSet, snapshots: Path) -> FeatureObjects:
    """Makes the Feast objects of a feature set.

    Views have no time to live: a row is valid until the next row, and the snapshots themselves mark when a window ends.

    Args:
        feature_set: Names the columns.
        snapshots: Directory of the snapshot files; only historical joins and materialisation read it.
    """
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
    record = Entity(name="record", join_keys=[FRESHNESS_KEY], value_type=ValueType.STRING)
    user_stats = _view("user_stats", user, user_fields(feature_set), snapshots)
    user_history = _view(
        "user_history",
        user,
        [Field(name=name, dtype=Array(FEAST_TYPES[kind])) for name, kind in HISTORY_ARRAYS.items()],
        snapshots,
    )
    item_stats = _view("item_stats", item, item_fields(feature_set), snapshots)
    return FeatureObjects(
        entities=(user, item, record),
        user_stats=user_stats,
        user_history=user_history,
        item_stats=item_stats,
        freshness=_view("freshness", record, freshness_fields(), snapshots),
        popularity=_view("popularity", record, popularity_fields(), snapshots),
        users=FeatureService(name="users", features=[user_stats]),
        items=FeatureService(name="items", features=[item_stats]),
    )


def user_fields(feature_set: FeatureSet) -> list[Field]:
    """Returns the columns of `user_stats`: stored numbers, moments of the ages, text."""
    stored = [name for name in feature_set.user_numeric if name not in feature_set.user_ages]
    return [
        *(Field(name=name, dtype=Float32) for name in stored),
        *(Field(name=name, dtype=Float64) for name in feature_set.user_ages.values()),
        *(Field(name=name, dtype=String) for name in feature_set.user_categorical),
    ]


def item_fields(feature_set: FeatureSet) -> list[Field]:
    """Returns the columns of `item_stats`: stored numbers, columns for filters, text."""
    stored = [name for name in feature_set.item_numeric if name not in feature_set.item_ages]
    return [
        *(Field(name=name, dtype=Float32) for name in stored),
        *(Field(name=name, dtype=FEAST_TYPES[kind]) for name, kind in ITEM_FACTS.items() if name not in stored),
        *(Field(name=name, dtype=String) for name in feature_set.item_categorical),
    ]


def freshness_fields() -> list[Field]:
    """Returns the columns of `freshness`: times in unix seconds, and what was written."""
    return [Field(name=name, dtype=Float64) for name in FRESHNESS_FIELDS]


def popularity_fields() -> list[Field]:
    """Returns the columns of `popularity`: versions of bundles, and the list of each as bytes."""
    return [Field(name=LIST_BUNDLES, dtype=Array(String)), Field(name=LISTS, dtype=Array(Bytes))]


def _view(name: str, entity: Entity, fields: list[Field], snapshots: Path) -> FeatureView:
    source = FileSource(
        name=f"{name}_source",
        path=file_pattern((snapshots / f"{name}.parquet").absolute()),  # Feast's DuckDB store reads it as a pattern
        timestamp_field=TIMESTAMP_FIELD,
    )
    key = Field(name=entity.join_key, dtype=String)
    return FeatureView(
        name=name, entities=[entity], schema=[key, *fields], source=source, ttl=timedelta(0), online=True
    )
