"""Popularity: decay, countries, order, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from feature_repo.dataset.split import DAY
from feature_repo.errors import BundleError
from inference.models.popularity import Popularity


def fitted(half_life_days: float = 2.0) -> Popularity:
    """Item 0 was popular long ago, 1 is now, 2 in Peru alone, 3 has one negative event, 4 nothing."""
    rows = np.array([0] * 300 + [1] * 100 + [2] * 80 + [3], dtype=np.int32)
    days_ago = np.array([10.0] * 300 + [0.5] * 100 + [1.0] * 80 + [0.1])
    countries = np.array(["IN"] * 250 + [""] * 50 + ["IN"] * 100 + ["PE"] * 80 + ["IN"], dtype=object)
    grades = np.array([1] * 480 + [-1], dtype=np.int8)
    return Popularity.fit(
        rows,
        -days_ago * DAY,
        countries,
        grades,
        num_items=5,
        as_of=0.0,
        half_life_days=half_life_days,
    )


def test_score_is_the_decayed_count() -> None:
    expected = [300 * 0.5**5, 100 * 0.5**0.25, 80 * 0.5**0.5, 0, 0]
    np.testing.assert_allclose(fitted().score, expected, rtol=1e-5)


def test_half_life_decides_what_is_popular() -> None:
    assert fitted(2.0).top(None, 1)[0].tolist() == [1]
    assert fitted(30.0).top(None, 1)[0].tolist() == [0]


def test_a_country_leads_with_its_own_and_unknown_ones_get_the_overall_list() -> None:
    popularity = fitted()
    assert popularity.countries.tolist() == ["IN", "PE"]
    assert popularity.top("PE", 2)[0].tolist() == [2, 1]
    assert popularity.top("IN", 2)[0].tolist() == [1, 0] or popularity.top("IN", 2)[0].tolist() == [1, 2]
    for country in ("", None, "XX", "ZZ", "AA"):
        assert popularity.top(country, 3)[0].tolist() == [1, 2, 0]


def test_scores_fall_and_every_item_is_reached() -> None:
    popularity = fitted()
    for country in (None, "IN", "PE"):
        rows, scores = popularity.top(country, 50)
        assert sorted(rows.tolist()) == [0, 1, 2, 3, 4]
        assert (np.diff(scores) <= 0).all()
        assert abs(scores.sum() - 1) < 1e-5


def test_events_at_the_time_or_later_do_not_count() -> None:
    popularity = Popularity.fit(
        np.array([0, 1, 1], dtype=np.int32),
        np.array([9.0, 10.0, 11.0]),
        np.array(["", "", ""], dtype=object),
        np.ones(3, dtype=np.int8),
        num_items=2,
        as_of=10.0,
        half_life_days=1.0,
    )
    assert popularity.score[1] == 0
    assert popularity.score[0] > 0.99


def test_round_trip_and_damage(tmp_path: Path) -> None:
    fitted().save(tmp_path)
    loaded = Popularity.load(tmp_path)
    for a, b in zip(loaded.top("PE", 5), fitted().top("PE", 5), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (loaded.half_life_days, loaded.as_of) == (2.0, 0.0)
    (tmp_path / "popularity.npz").write_bytes(b"")
    with pytest.raises(BundleError, match="cannot be read"):
        Popularity.load(tmp_path)
