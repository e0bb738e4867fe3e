"""Vectors of a catalogue: which columns make two items similar, as of which time, and with which encoder."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.index.content.neighbours import fit_content_neighbours
from components.index.content.vectors import content_vectors
from feature_repo.dataset.tables import PreparedTables
from tests.kit.prepared_tables import START, config, event, write_prepared

BRANDS = ("Nordlicht", "Stillwater", "Marigold", "Copper")
NOW = START.timestamp()
IDS = np.array([f"i{number:02d}" for number in range(40)], dtype=object)


def rows(**changes: Any) -> list[dict[str, Any]]:
    """Forty items of four brands; only the first has an event."""
    return [
        {"item_id": item, "brand": BRANDS[number % 4], "price": 1.0 + number, "mood": f"m{number // 8}", **changes}
        for number, item in enumerate(IDS)
    ]


def tables(folder: Path, items: list[dict[str, Any]], **sections: Any) -> PreparedTables:
    sections = {"text": {"encoder": "tfidf"}} | sections
    return PreparedTables.open(
        write_prepared(folder, config(**sections), items=items, interactions=[event(0, item_id="i00")])
    )


def plain(item: dict[str, Any], *dropped: str) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in {"mood", *dropped}}


def test_items_of_one_brand_are_closer(tmp_path: Path) -> None:
    vectors = content_vectors(tables(tmp_path, [plain(item) for item in rows()]), IDS, NOW, "tfidf")
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    brand, price = np.arange(40) % 4, np.arange(40) // 4
    cosines = vectors @ vectors.T
    same, near = brand[:, None] == brand, price[:, None] == price
    assert cosines[same & ~near].mean() > cosines[~same & ~near].mean() + 0.1
    assert cosines[near & ~same].mean() > cosines[~same & ~near].mean() + 0.1  # the same tenth of the prices


def test_declared_columns_of_the_owner_count(tmp_path: Path) -> None:
    items = [plain(item, "brand", "price") | {"mood": item["mood"]} for item in rows()]
    declared = {"features": {"items": {"categorical": ["mood"]}}}
    vectors = content_vectors(tables(tmp_path, items, **declared), IDS, NOW, "tfidf")
    cosines = vectors @ vectors.T
    mood = np.arange(40) // 8
    same = mood[:, None] == mood
    np.testing.assert_allclose(cosines[same], 1.0, rtol=1e-4)
    assert cosines[~same].max() < 0.6


def test_the_latest_row_up_to_the_time_counts(tmp_path: Path) -> None:
    early, late = START - timedelta(days=2), START + timedelta(days=2)
    items = [plain(item, "price") | {"valid_from": early} for item in rows()]
    items += [{"item_id": "i00", "brand": BRANDS[1], "valid_from": late}]
    items += [{"item_id": "i01", "brand": BRANDS[2], "valid_from": START - timedelta(days=1)}]
    found = tables(tmp_path, items)
    before, after = (content_vectors(found, IDS, NOW + days * 86_400, "tfidf") for days in (0, 3))
    assert before[0] @ before[4] > 0.99  # item 4 has the first brand of item 0
    assert after[0] @ after[5] > 0.99  # item 5 has its second brand
    assert before[1] @ before[2] > 0.99
    first = content_vectors(found, IDS, NOW - 5 * 86_400, "tfidf")
    assert first[1] @ first[5] > 0.99  # before all rows, the first one


def test_an_item_without_a_row_or_with_nulls_has_no_vector_and_no_neighbour(tmp_path: Path) -> None:
    items = [plain(item) for item in rows()]
    items[3] = {"item_id": "i03"}
    ids = np.sort(np.append(IDS, ["a-new", "z-new"])).astype(object)
    found = tables(tmp_path, items)
    vectors = content_vectors(found, ids, NOW, "tfidf")
    assert np.flatnonzero(~vectors.any(axis=1)).tolist() == [0, 4, 41]
    table = fit_content_neighbours(found, ids, NOW)
    assert table is not None
    assert table.num_items == 42
    assert np.flatnonzero(np.diff(table.offsets) == 0).tolist() == [0, 4, 41]
    assert not np.isin(table.rows, [0, 4, 41]).any()


def test_a_log_without_content_has_no_table(tmp_path: Path) -> None:
    assert fit_content_neighbours(tables(tmp_path, []), IDS, NOW) is None
    assert fit_content_neighbours(tables(tmp_path, [{"item_id": item} for item in IDS]), IDS, NOW) is None


def test_the_table_is_fitted_where_the_owner_asks_for_it(tmp_path: Path) -> None:
    items = [plain(item) for item in rows()]
    assert fit_content_neighbours(tables(tmp_path / "asked", items), IDS, NOW) is not None
    assert fit_content_neighbours(tables(tmp_path / "not", items, text={}), IDS, NOW) is None


@pytest.mark.parametrize("column", ["title", "description"])
def test_texts_count_more_than_columns(tmp_path: Path, column: str) -> None:
    items = [plain(item, "price") | {column: f"thing{number // 4} made"} for number, item in enumerate(rows())]
    vectors = content_vectors(tables(tmp_path, items), IDS, NOW, "tfidf")
    cosines = vectors @ vectors.T
    thing, brand = np.arange(40) // 4, np.arange(40) % 4
    same_thing = (thing[:, None] == thing) & (brand[:, None] != brand)
    same_brand = (thing[:, None] != thing) & (brand[:, None] == brand)
    assert cosines[same_thing].min() > cosines[same_brand].max()
