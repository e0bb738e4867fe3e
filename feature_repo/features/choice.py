"""Which columns a dataset has data for.

`choose_features` asks every feature group for its columns, which decides the order of the feature set. Columns without
data in the dataset are left out instead of being null everywhere. An owner's column must not have the name of a
computed column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from feature_repo.dataset.split import HOUR, Split
from feature_repo.dataset.tables import PreparedTables
from feature_repo.errors import DatasetError
from feature_repo.features.ages import moment_of
from feature_repo.features.feature_set import HISTORY_ARRAYS, FeatureSet, Vocabulary
from feature_repo.features.groups.cross import CROSS_GROUPS
from feature_repo.features.groups.cross_group import CrossGroup
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.items import ITEM_GROUPS
from feature_repo.features.groups.requests import REQUEST_NUMERIC
from feature_repo.features.groups.snapshot_group import SnapshotGroup
from feature_repo.features.groups.users import USER_GROUPS
from feature_repo.features.vocabularies import read_vocabularies

SNAPSHOT_KEYS = ("event_timestamp", "from_day", "to_day", "valid_from_us", "created_at_us", "signup_at_us")


def choose_features(tables: PreparedTables, sources: Sequence[str]) -> FeatureSet:
    """Chooses the columns that the tables have data for and freezes the vocabularies.

    Args:
        tables: Prepared tables.
        sources: Names of the retrieval sources in bit order; each adds a score and a rank to the ranker's features.

    Raises:
        DatasetError: A declared extra column has the name of a computed column.
    """
    config = tables.config
    vocabularies = read_vocabularies(tables)
    item_categorical = _columns_of("items", vocabularies)
    item_windows = windows_of(tables.split, tables.time_scales.item_life)
    facts = DatasetFacts.of(tables, item_categorical, item_windows)
    _check_extras(tables, item_windows)
    user_extras, item_extras = config.extras("users").numerical, config.extras("items").numerical
    return FeatureSet(
        objectives=tuple(tables.objectives),
        repeats=config.recommend.repeats,
        user_numeric=(*_names(USER_GROUPS, facts), *user_extras),
        user_categorical=_columns_of("users", vocabularies),
        item_numeric=(*_names(ITEM_GROUPS, facts), *item_extras),
        item_categorical=item_categorical,
        user_extras=user_extras,
        item_extras=item_extras,
        request_numeric=REQUEST_NUMERIC,
        request_categorical=_columns_of("request", vocabularies),
        cross_numeric=_names(CROSS_GROUPS, facts),
        sources=tuple(sources),
        vocabularies=vocabularies,
        item_windows=item_windows,
    )


def windows_of(split: Split, item_life: float) -> tuple[int, ...]:
    """Hours of the windows of item counts in addition to the daily ones: from the step, doubled up to an item's life.

    Args:
        split: Windows are added only where items are counted at more cuts than users.
        item_life: Seconds.
    """
    if split.parts == 1:
        return ()
    step = max(round(split.step / HOUR), 1)
    return tuple(step << place for place in range(8) if not place or (step << place) * HOUR <= item_life)


def _names(groups: Sequence[SnapshotGroup] | Sequence[CrossGroup], facts: DatasetFacts) -> tuple[str, ...]:
    return tuple(name for group in groups for name in group.columns(facts))


def _check_extras(tables: PreparedTables, item_windows: tuple[int, ...]) -> None:
    """Raises DatasetError for an extra column with the name of a computed column, even if the log lacks its data."""
    complete = DatasetFacts.complete(tuple(tables.objectives), item_windows)
    users, items = (_names(groups, complete) for groups in (USER_GROUPS, ITEM_GROUPS))
    moments = [moment for name in users if (moment := moment_of(name))]
    computed = {"users": {*users, *moments, *HISTORY_ARRAYS}, "items": {*items}}
    for table, names in computed.items():
        extras = tables.config.extras(table)
        for extra in (*extras.categorical, *extras.numerical):
            if extra in names or extra in SNAPSHOT_KEYS:
                raise DatasetError(
                    f"The table [features.{table}] of dataset.toml lists {extra!r}, the name of a computed column: "
                    f"list another name, and say in [columns.{table}] that it is {extra!r} in the file."
                )


def _columns_of(side: str, vocabularies: Mapping[str, Vocabulary]) -> tuple[str, ...]:
    return tuple(key.partition(".")[2] for key in vocabularies if key.startswith(f"{side}."))
