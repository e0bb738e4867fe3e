"""Request and user x item features against a loop over plain Python values."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.cross.own_items import OWN_COLUMNS
from feature_repo.features.groups.requests import REQUEST_NUMERIC
from feature_repo.features.state import History, ItemColumns, OwnItems, UserColumns
from feature_repo.features.transforms import anchor_rows, assemble, request_features
from inference.candidates.query import CandidateSet, Query

DAY = 86400.0
NOW = datetime(2026, 3, 4, 18, 0, tzinfo=UTC).timestamp()  # a Wednesday
ITEMS = ("i0", "i1", "i2", "i3", "i4", "i5")
CATEGORIES = (1, 1, 2, 2, 0, 3)
PRICES = (1.0, 2.0, 5.0, float("nan"), 20.0, 0.0)

FEATURE_SET = FeatureSet(
    objectives=("click", "convert"),
    repeats="always",
    user_numeric=("num_sessions_total", "mean_log_price", "std_log_price"),
    user_categorical=("country",),
    item_numeric=("num_click_7d", "age_days"),
    item_categorical=("category",),
    request_numeric=REQUEST_NUMERIC,
    request_categorical=("device", "country", "surface"),
    cross_numeric=(
        *OWN_COLUMNS,
        "own_negatives",
        "history_share_category",
        "days_since_category",
        "anchor_same_category",
        "price_z_to_user",
        "anchor_price_ratio",
    ),
    sources=("two_tower", "covisitation", "own", "popular"),
    vocabularies={
        "users.country": ("SE", "IN"),
        "items.category": ("a", "b", "c"),
        "request.device": ("phone",),
        "request.country": ("IN", "SE"),
        "request.surface": ("home", "similar"),
    },
)
ITEM_COLUMNS = ItemColumns(
    item_ids=np.array(ITEMS, dtype=object),
    numeric=np.array([[row, 0.0] for row in range(len(ITEMS))], dtype=np.float32),
    categorical=np.array(CATEGORIES, dtype=np.int32)[:, None],
    price=np.array(PRICES, dtype=np.float32),
    available=np.ones(len(ITEMS), dtype=np.bool_),
    created_at=np.array([NOW - 3 * DAY, NOW - 2 * DAY, np.nan, NOW + DAY, NOW, NOW - 0.5 * DAY]),
    regions=np.full(len(ITEMS), "", dtype=object),
    min_age=np.zeros(len(ITEMS), dtype=np.float32),
)


@dataclass(frozen=True)
class User:
    """What one user did: (row, grade, days ago) of positive events, and rows turned down."""

    history: tuple[tuple[int, int, float], ...] = ()
    negatives: tuple[int, ...] = ()
    sessions: int = 1
    country: str = ""


# Days ago; times of a log are whole microseconds.
ages = st.floats(0, 90, width=32).map(lambda days: round(days * DAY * 1e6) / 1e6 / DAY)
events = st.tuples(st.integers(0, len(ITEMS) - 1), st.integers(1, 2), ages)
users = st.builds(
    User,
    history=st.lists(events, max_size=12).map(lambda found: tuple(sorted(found, key=lambda event: -event[2]))),
    negatives=st.lists(st.integers(0, len(ITEMS) - 1), max_size=3).map(tuple),
    sessions=st.integers(1, 9),
    country=st.sampled_from(["", "SE", "IN"]),
)


def _columns(found: Sequence[User]) -> UserColumns:
    owns = [sorted({row for row, _, _ in user.history} | set(user.negatives)) for user in found]
    own = [(user, row) for user, rows in zip(found, owns, strict=True) for row in rows]
    history = [event for user in found for event in user.history]

    def times(user: User, row: int) -> list[float]:
        return [NOW - days * DAY for other, _, days in user.history if other == row] or [NOW - 40 * DAY]

    return UserColumns(
        known=np.ones(len(found), dtype=np.bool_),
        numeric=np.array([[user.sessions, 1.0, 0.0] for user in found], dtype=np.float32),
        categorical=np.array([[("", "SE", "IN").index(user.country)] for user in found], dtype=np.int32),
        country=np.array([user.country for user in found], dtype=object),
        history=History(
            offsets=np.cumsum([0, *(len(user.history) for user in found)]),
            rows=np.array([row for row, _, _ in history], dtype=np.int32),
            grades=np.array([grade for _, grade, _ in history], dtype=np.int8),
            times=np.array([NOW - days * DAY for _, _, days in history], dtype=np.float64),
        ),
        own=OwnItems(
            offsets=np.cumsum([0, *(len(rows) for rows in owns)]),
            rows=np.array([row for _, row in own], dtype=np.int32),
            counts=np.array([sum(e[0] == row for e in user.history) for user, row in own], dtype=np.float32),
            negatives=np.array([user.negatives.count(row) for user, row in own], dtype=np.float32),
            grades=np.array(
                [max([e[1] for e in u.history if e[0] == row], default=0) for u, row in own], dtype=np.int8
            ),
            first=np.array([min(times(user, row)) for user, row in own], dtype=np.float64),
            last=np.array([max(times(user, row)) for user, row in own], dtype=np.float64),
        ),
    )


def _candidates(rows: Sequence[Sequence[int]]) -> CandidateSet:
    flat = np.array([row for some in rows for row in some], dtype=np.int32)
    width = len(FEATURE_SET.sources)
    return CandidateSet(
        offsets=np.cumsum([0, *(len(some) for some in rows)]),
        rows=flat,
        source_bits=np.ones(len(flat), dtype=np.uint32),
        source_scores=np.tile(flat[:, None].astype(np.float32), (1, width)),
        source_ranks=np.full((len(flat), width), np.nan, dtype=np.float32),
        score=flat.astype(np.float32),
    )


def _faded(ages: list[float], half_life: float) -> float:
    """Events that fade, those before the last spread evenly over the time since the first: a fine sum of them."""
    if not ages:
        return 0.0
    points = np.linspace(min(ages), max(ages), 20_001)
    spread = np.trapezoid(np.exp2(-points / half_life), points) / max(float(np.ptp(points)), 1e-12)
    mean = spread if max(ages) > min(ages) else 2.0 ** (-min(ages) / half_life)
    return float(2.0 ** (-min(ages) / half_life) + (len(ages) - 1) * mean)


def _expected(user: User, row: int, anchor: int | None) -> dict[str, float]:
    """One candidate's features of user and item together, by the book."""
    nan = math.nan
    mine = [days for other, _, days in user.history if other == row]
    category = CATEGORIES[row]
    same = [days for other, _, days in user.history if category and CATEGORIES[other] == category]
    known = bool(mine) or row in user.negatives
    last = min(mine) if mine else (40.0 if known else nan)
    first = max(mine) if mine else (40.0 if known else nan)
    gap = (first - last) / (len(mine) - 1) if len(mine) > 1 else nan
    return {
        **{f"own_decayed_{days}d": _faded(mine, days) for days in (3, 15, 60)},
        "own_count": len(mine),
        "own_share_of_sessions": min(len(mine) / user.sessions, 1.0) if known else nan,
        "own_days_since_last": last,
        "own_days_since_first": first,
        "own_mean_gap_days": gap,
        "own_due": last / max(gap, 1.0) if not math.isnan(gap) else nan,
        "own_grade": max([g for o, g, _ in user.history if o == row], default=0) if known else nan,
        "history_contains": float(bool(mine)),
        "own_negatives": user.negatives.count(row),
        "history_share_category": len(same) / len(user.history) if category and user.history else nan,
        "days_since_category": min(same) if same else nan,
        "anchor_same_category": (
            float(CATEGORIES[anchor] == category) if anchor is not None and category and CATEGORIES[anchor] else nan
        ),
        "price_z_to_user": (math.log1p(PRICES[row]) - 1.0) / 0.1,
        "anchor_price_ratio": nan if anchor is None else math.log1p(PRICES[row]) - math.log1p(PRICES[anchor]),
    }


requests = st.lists(
    st.tuples(
        users,
        st.lists(st.integers(0, len(ITEMS) - 1), unique=True, max_size=6),
        st.one_of(st.none(), st.integers(0, len(ITEMS) - 1)),
    ),
    min_size=1,
    max_size=5,
)


@given(requests)
def test_a_batch_is_what_a_loop_would_compute(found: list[tuple[User, list[int], int | None]]) -> None:
    queries = [
        Query(user_id="u", time=NOW, last_item_id=None if anchor is None else ITEMS[anchor]) for _, _, anchor in found
    ]
    matrix = assemble(
        queries,
        _columns([user for user, _, _ in found]),
        ITEM_COLUMNS,
        _candidates([r for _, r, _ in found]),
        FEATURE_SET,
    )
    names = FEATURE_SET.ranker_features
    flat = [(user, row, anchor) for user, rows, anchor in found for row in rows]
    assert matrix.shape == (len(flat), len(names))
    for line, (user, row, anchor) in zip(matrix, flat, strict=True):
        got = dict(zip(names, line.tolist(), strict=True))
        for name, value in _expected(user, row, anchor).items():
            assert got[name] == pytest.approx(value, rel=1e-4, abs=1e-4, nan_ok=True), name
        assert got["item_num_click_7d"] == row
        assert got["user_num_sessions_total"] == user.sessions
        assert got["item_category"] == CATEGORIES[row]
        assert got["score_popular"] == row
        assert math.isnan(got["rank_own"])


@given(requests, st.randoms())
def test_candidates_do_not_see_each_other(found: list[tuple[User, list[int], int | None]], random: object) -> None:
    """A candidate's features are the same in a batch of many and alone."""
    queries = [Query(user_id="u", time=NOW) for _ in found]
    together = assemble(
        queries,
        _columns([user for user, _, _ in found]),
        ITEM_COLUMNS,
        _candidates([r for _, r, _ in found]),
        FEATURE_SET,
    )
    alone = [
        assemble([query], _columns([user]), ITEM_COLUMNS, _candidates([[row]]), FEATURE_SET)
        for query, (user, rows, _) in zip(queries, found, strict=True)
        for row in rows
    ]
    if alone:
        np.testing.assert_array_equal(together, np.concatenate(alone))


def test_ages_are_those_at_the_query() -> None:
    place = FEATURE_SET.ranker_features.index("item_age_days")
    for later in (0.0, 1.25):
        query = Query(user_id="u", time=NOW + later * DAY)
        matrix = assemble([query], _columns([User()]), ITEM_COLUMNS, _candidates([[0, 2, 3, 5]]), FEATURE_SET)
        expected = [3 + later, np.nan, max(later - 1, 0.0), 0.5 + later]
        np.testing.assert_allclose(matrix[:, place], expected, atol=1e-6)


def test_request_features_say_when_where_and_how() -> None:
    query = Query(user_id="u", time=NOW, surface="similar", device="phone", session_length=4)
    names = [*FEATURE_SET.request_numeric, *FEATURE_SET.request_categorical]
    got = dict(zip(names, request_features([query], np.array(["SE"], object), FEATURE_SET)[0].tolist(), strict=True))
    assert (got["hour_sin"], got["hour_cos"]) == (pytest.approx(-1.0), pytest.approx(0.0, abs=1e-6))  # 18:00
    assert got["weekday_sin"] == pytest.approx(math.sin(2 / 7 * 2 * math.pi))
    assert (got["session_length"], got["device"], got["country"], got["surface"]) == (4, 1, 2, 2)
    named = Query(user_id="u", time=NOW, country="IN", surface="unheard of")
    got = dict(zip(names, request_features([named], np.array(["SE"], object), FEATURE_SET)[0].tolist(), strict=True))
    assert (got["device"], got["country"], got["surface"]) == (0, 1, 0)
    assert math.isnan(got["session_length"])


def test_the_seed_goes_before_the_last_item() -> None:
    queries = [
        Query(user_id="u", time=NOW, item_id="i2", last_item_id="i1"),
        Query(user_id="u", time=NOW, last_item_id="i5"),
        Query(user_id="u", time=NOW, last_item_id="zzz"),
        Query(user_id="u", time=NOW, item_id=""),
    ]
    assert anchor_rows(queries, ITEM_COLUMNS).tolist() == [2, 5, -1, -1]


def test_500_candidates_take_under_a_millisecond_or_so() -> None:
    """A generous bound, for a loaded machine: per-candidate Python would take tens."""
    user = User(history=tuple((n % 6, 1, 60.0 - n) for n in range(50)))
    columns, candidates = _columns([user]), _candidates([[n % 6 for n in range(500)]])
    query = [Query(user_id="u", time=NOW, last_item_id="i1")]
    best = math.inf
    for _ in range(50):
        started = time.perf_counter()
        assemble(query, columns, ITEM_COLUMNS, candidates, FEATURE_SET)
        best = min(best, time.perf_counter() - started)
    assert best < 0.005
