"""Half-lives of popularity where items live for hours."""

import numpy as np
import pytest

import components.index.popular as popular
from components.index.popular import LIFE_SHARES, choose_half_life
from components.replay.events import Events
from feature_repo.dataset.split import DAY, HOUR

NUM_ITEMS = 400


def events_of(rows: np.ndarray, times: np.ndarray) -> Events:
    order = np.argsort(times, kind="stable")
    num = len(rows)
    return Events(
        users=np.arange(num, dtype=np.int32),
        sessions=np.arange(num, dtype=np.int64),
        rows=rows[order].astype(np.int32),
        times=times[order],
        grades=np.ones(num, dtype=np.int8),
        countries=np.full(num, "", dtype=object),
    )


def hourly(random: np.random.Generator) -> Events:
    """A new item every hour of ten days, whose events fade with a half-life of two hours; items differ little."""
    rows = np.repeat(np.arange(240), random.integers(20, 60, size=240))
    times = rows * HOUR + random.exponential(2 * HOUR / np.log(2), size=len(rows))
    return events_of(rows, times)


def test_items_that_live_for_hours_have_half_lives_of_hours() -> None:
    events = hourly(np.random.default_rng(0))
    life = 8 * HOUR
    chosen = choose_half_life(events, NUM_ITEMS, 5 * DAY, 8 * DAY, life)
    assert chosen in [life / DAY * share for share in LIFE_SHARES]
    assert chosen <= 0.25
    assert choose_half_life(events, NUM_ITEMS, 5 * DAY, 8 * DAY) == 0.5  # days, and the shortest of them


def test_lists_of_the_whole_span_count_not_only_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the span there is a single item, so at its start all half-lives make the same list."""
    events = hourly(np.random.default_rng(1))
    start, life = 5 * DAY, 8 * HOUR
    late = events.times >= start
    one = events_of(np.append(events.rows[late], 399), np.append(events.times[late], start - HOUR))
    spread = choose_half_life(one, NUM_ITEMS, start, 8 * DAY, life)
    monkeypatch.setattr(popular, "MOMENTS", 1)
    assert choose_half_life(one, NUM_ITEMS, start, 8 * DAY, life) == life / DAY * LIFE_SHARES[0] < spread


def test_what_follows_the_span_changes_nothing() -> None:
    random = np.random.default_rng(2)
    events = hourly(random)
    later = events.times >= 8 * DAY
    other = events_of(np.where(later, random.integers(0, 240, len(events)), events.rows), events.times)
    chosen = choose_half_life(events, NUM_ITEMS, 5 * DAY, 8 * DAY, 8 * HOUR)
    assert choose_half_life(other, NUM_ITEMS, 5 * DAY, 8 * DAY, 8 * HOUR) == chosen


def test_an_empty_span_has_the_middle_of_the_range() -> None:
    events = hourly(np.random.default_rng(3))
    assert choose_half_life(events, NUM_ITEMS, 60 * DAY, 70 * DAY, 8 * HOUR) == 8 / 24 * LIFE_SHARES[4]
