"""Places of items without an event: the rule itself, and its file."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.errors import BundleError
from inference.models.cold_places import COLD_PLACES_FILE, ColdPlaces

LISTS = st.lists(st.lists(st.booleans(), max_size=60), min_size=1, max_size=5)


def arranged(places: ColdPlaces, lists: list[list[bool]]) -> list[list[int]]:
    """Each list in display order, as indices into the list."""
    offsets = np.concatenate(([0], np.cumsum([len(part) for part in lists]))).astype(np.int64)
    cold = np.array([flag for part in lists for flag in part], dtype=np.bool_)
    order = places.order(offsets, places.keys(offsets, cold), cold)
    return [(order[start:stop] - start).tolist() for start, stop in pairwise(offsets.tolist())]


def expected(places: ColdPlaces, cold: list[bool]) -> list[int]:
    """The rule place by place: an item without an event is moved only where one is missing."""
    left = list(range(len(cold)))
    shown: list[int] = []
    while left:
        due = (len(shown) + 1 - places.after) // places.every
        waiting = [place for place in left if cold[place]]
        so_far = sum(cold[place] for place in shown)
        taken = waiting[0] if waiting and so_far < due else left[0]
        left.remove(taken)
        shown.append(taken)
    return shown


@given(LISTS, st.integers(0, 12), st.integers(1, 7))
def test_the_order_is_that_of_the_rule_place_by_place(lists: list[list[bool]], after: int, every: int) -> None:
    places = ColdPlaces(after=after, every=every)
    assert arranged(places, lists) == [expected(places, part) for part in lists]


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 12), st.integers(1, 7), st.integers(0, 60))
def test_pages_continue_the_list(cold: list[bool], after: int, every: int, cut: int) -> None:
    places = ColdPlaces(after=after, every=every)
    (whole,) = arranged(places, [cold])
    left = np.array(sorted(set(whole) - set(whole[:cut])), dtype=np.int64)
    flags, offsets = np.array(cold, dtype=np.bool_)[left], np.array([0, len(left)])
    shown = np.array([min(cut, len(cold))]), np.array([sum(cold[place] for place in whole[:cut])])
    order = places.order(offsets, places.keys(offsets, flags, *shown), flags)
    assert left[order].tolist() == whole[cut:]


def test_the_first_places_are_the_rankers() -> None:
    cold = [False] * 50 + [True] * 30
    (order,) = arranged(ColdPlaces(after=20, every=8), [cold])
    assert order[:20] == list(range(20))
    assert [place for place, index in enumerate(order) if cold[index]][:3] == [27, 35, 43]


def test_the_file_is_read_again_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    assert ColdPlaces.load(tmp_path) is None
    places = ColdPlaces(after=20, every=6)
    places.save(tmp_path)
    assert ColdPlaces.load(tmp_path) == places
    (tmp_path / COLD_PLACES_FILE).write_text('{"after": 20, "every": 0}')
    with pytest.raises(BundleError, match="train again"):
        ColdPlaces.load(tmp_path)
