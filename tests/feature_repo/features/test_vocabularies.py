"""Vocabularies: which values are kept, and that neither their order nor the hash depends on how often they occur."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.choice import choose_features
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.vocabularies import vocabulary_of
from tests.kit import random_log as logs

columns = st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=30)

SOURCES = ("near", "popular")


def _batches(values: list[str | None], size: int = 7) -> list[pa.Array]:
    return [pa.array(values[start : start + size], pa.string()) for start in range(0, len(values), size)]


@settings(deadline=None)
@given(columns, st.randoms(use_true_random=False), st.dictionaries(st.text(max_size=3), st.integers(1, 4)))
def test_order_and_number_of_rows_change_nothing(
    values: list[str | None], rng: random.Random, times: dict[str, int]
) -> None:
    more = [value for value in values for _ in range(times.get(value or "", 1))]
    rng.shuffle(more)
    assert vocabulary_of(_batches(more)) == vocabulary_of(_batches(values)) == tuple(sorted({v for v in values if v}))


@settings(deadline=None)
@given(columns, st.integers(0, 5))
def test_the_most_frequent_values_are_kept(values: list[str | None], most: int) -> None:
    kept = vocabulary_of(_batches(values), most)
    counts = Counter(value for value in values if value)
    assert len(kept) == min(most, len(counts))
    left_out = {value: count for value, count in counts.items() if value not in kept}
    assert all((-counts[value], value) < (-count, other) for value in kept for other, count in left_out.items())


def test_the_hash_is_that_of_the_values(tmp_path: Path) -> None:
    rows = logs.rows(seed=3, num_events=60)
    feature_set = choose_features(PreparedTables.open(logs.write(tmp_path / "once", rows)), SOURCES)
    rng = random.Random(0)
    events = [{**row, "event_id": f"{row['event_id']}-{n}"} for row in rows["interactions"] for n in range(3)]
    more = {
        "interactions": events,
        "impressions": [row for row in rows["impressions"] for _ in range(rng.randint(1, 3))],
        "items": list(rows["items"]),
        "users": list(rows["users"]),
    }
    for table in more.values():
        rng.shuffle(table)
    again = choose_features(PreparedTables.open(logs.write(tmp_path / "more", more)), SOURCES)
    assert (again.hash, again) == (feature_set.hash, feature_set)


def test_a_set_with_its_own_order_keeps_it(tmp_path: Path) -> None:
    """Vocabularies of bundles made before are by frequency, and codes follow from what a bundle holds."""
    older = FeatureSet(objectives=("click",), vocabularies={"items.brand": ("zebra", "ant")})
    older.save(tmp_path / "feature_set.json")
    loaded = FeatureSet.load(tmp_path / "feature_set.json")
    assert (loaded.hash, loaded.code_of["items.brand"]) == (older.hash, {"zebra": 1, "ant": 2})
