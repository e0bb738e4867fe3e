"""Which sources are asked, and with which settings, on logs whose next items are known."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from components.index.popular import fit_popularity
from components.index.quotas import ALWAYS, choose_quotas, try_sources
from components.index.settings import TableSettings, choose_settings
from components.index.trial import Trial, surely_better
from components.replay.events import Events
from feature_repo.dataset.split import Split
from feature_repo.features.feature_set import FeatureSet
from inference.models.neighbours import ContentNeighbours, Followers, Neighbours, Predictors
from inference.models.part import Part
from inference.sources import SOURCES
from inference.sources.content import ContentSource
from inference.sources.covisitation import CovisitationSource
from inference.sources.popular import PopularSource
from inference.sources.transitions import TransitionsSource
from tests.kit import world

DAY = 86_400.0
ITEMS = 400
SPLIT = Split(log_start=0, rank_start=30 * DAY, validation_start=50 * DAY, test_start=60 * DAY, log_end=70 * DAY)


def events(*, directed: bool) -> Events:
    """Users who take an item a day; with a direction, the item whose number is higher by a fixed step follows."""
    rng = np.random.default_rng(0)
    users, days = np.repeat(np.arange(120), 60), np.tile(np.arange(60), 120)
    start = rng.integers(0, ITEMS, 120)[users]
    rows = (start + 7 * days) % ITEMS if directed else rng.integers(0, ITEMS, len(users))
    order = np.argsort(days, kind="stable")
    users, rows, times = users[order], rows[order], days[order] * DAY + 3600.0 + users[order]
    return Events(
        users=users.astype(np.int32),
        sessions=(users * 100 + days[order]).astype(np.int64),
        rows=rows.astype(np.int32),
        times=times.astype(np.float64),
        grades=np.ones(len(users), dtype=np.int8),
        countries=np.full(len(users), "", dtype=object),
    )


def features(repeats: str) -> FeatureSet:
    return world.feature_set(repeats).model_copy(update={"sources": tuple(source.name for source in SOURCES)})


def trial_of(log: Events) -> Trial:
    ids = np.array([f"i{row:04d}" for row in range(ITEMS)], dtype=object)
    return Trial.of(log, features("always"), ids, SPLIT)


def parts_of_log(log: Events, as_of: float) -> list[Part]:
    kinds: list[type[Part]] = [Neighbours, Followers, Predictors]
    return [fit_popularity(log, ITEMS, as_of, 7.0), *TableSettings().fit(kinds, log, ITEMS, as_of)]


def test_a_trial_asks_at_the_start_of_validation_for_what_was_chosen_in_it() -> None:
    log = events(directed=True)
    trial = trial_of(log)
    history = trial.batch.users.history
    assert len(trial.batch) == 120
    assert history.times.max() < trial.as_of == SPLIT.validation_start
    inside = (log.times >= SPLIT.validation_start) & (log.times < SPLIT.test_start)
    assert set(trial.chosen.tolist()) == set((log.users[inside].astype(np.int64) * ITEMS + log.rows[inside]).tolist())
    followers = TableSettings().fit([Followers], log, ITEMS, trial.as_of)
    found = trial.ask(TransitionsSource, followers, 5)
    assert np.diff(found.offsets).max() == 5
    first = found.rows[found.offsets[:-1]]
    last = history.rows[history.offsets[1:] - 1]
    assert np.mean(first == (last + 7) % ITEMS) == 1.0
    chosen, gains, recalls = set(trial.chosen.tolist()), [], []
    for query in range(120):
        keys = (query * ITEMS + found.rows[found.offsets[query] : found.offsets[query + 1]]).tolist()
        gains.append(sum(1 / np.log2(2 + rank) for rank, key in enumerate(keys) if key in chosen))
        recalls.append(len(chosen & set(keys)) / 10)  # ten items in ten days
    np.testing.assert_allclose(trial.gains(found), gains)
    np.testing.assert_allclose(trial.recalls(trial.hits(found)), recalls)


def test_own_items_that_must_not_come_again_are_neither_asked_nor_found() -> None:
    log = events(directed=False)
    ids = np.array([f"i{row:04d}" for row in range(ITEMS)], dtype=object)
    trial = Trial.of(log, features("never"), ids, SPLIT)
    before = log.times < SPLIT.validation_start
    own = set((log.users[before].astype(np.int64) * ITEMS + log.rows[before]).tolist())
    assert own.isdisjoint(trial.chosen.tolist())
    found = trial.ask(TransitionsSource, TableSettings().fit([Followers], log, ITEMS, trial.as_of), 50)
    owners = np.repeat(np.arange(len(trial.batch)), np.diff(found.offsets))
    assert own.isdisjoint((owners * ITEMS + found.rows).tolist())


def test_a_source_is_asked_where_it_finds_what_the_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    log = events(directed=True)
    trial = trial_of(log)
    parts = parts_of_log(log, trial.as_of)
    monkeypatch.setattr(CovisitationSource, "quota", 2)
    monkeypatch.setattr(PopularSource, "quota", 2)
    tried = try_sources(trial, parts)
    assert all(tried[source.name].quota == source.quota for source in ALWAYS)
    assert tried["transitions"].quota + tried["similar"].quota > 0
    for found in tried.values():
        assert 0 <= found.margin <= found.recall <= 1
        assert found.milliseconds > 0
    monkeypatch.setattr(PopularSource, "quota", ITEMS)
    tried = try_sources(trial, parts)
    assert tried["popular"].recall == 1.0
    assert tried["transitions"].quota == tried["similar"].quota == 0
    assert tried["similar"].margin == tried["similar"].exclusive_hits == 0


def test_fresh_items_are_asked_for_where_users_choose_them() -> None:
    log = events(directed=True)
    known = trial_of(log)
    tried = try_sources(known, parts_of_log(log, known.as_of))
    assert not known.cold.any()
    quotas = choose_quotas(known, tried)
    assert quotas["fresh"] == 0
    assert quotas["popular"] == tried["popular"].quota
    few = log.times >= SPLIT.validation_start - 3 * DAY  # most items of the span are new then
    cold = trial_of(replace(log, **{field.name: getattr(log, field.name)[few] for field in fields(log)}))
    expected = {key % ITEMS for key in cold.chosen.tolist()} - set(log.rows[few & (log.times < cold.as_of)].tolist())
    assert {key % ITEMS for key in cold.chosen[cold.cold].tolist()} == expected
    assert cold.cold.mean() > 0.01
    assert choose_quotas(cold, tried)["fresh"] > 0


def test_content_is_asked_where_it_finds_what_no_user_had_before() -> None:
    log = events(directed=True)
    few = log.times >= SPLIT.validation_start - 3 * DAY  # most items of the span are new then
    log = replace(log, **{field.name: getattr(log, field.name)[few] for field in fields(log)})
    trial = trial_of(log)
    rows = (np.arange(ITEMS)[:, None] + 7 * np.arange(1, 11)) % ITEMS  # the items that follow
    offsets, weights = np.arange(ITEMS + 1) * 10, np.ones(ITEMS * 10, dtype=np.float32)
    near = ContentNeighbours(offsets, rows.reshape(-1).astype(np.int32), weights)
    parts = parts_of_log(log, trial.as_of)
    with_content, without = try_sources(trial, [*parts, near]), try_sources(trial, parts)
    assert without["content"].quota == without["content"].recall == 0
    assert with_content["content"].quota == ContentSource.quota
    assert with_content["content"].margin > trial.recalls(trial.cold).mean() / 2 > 0


def test_settings_follow_the_log() -> None:
    log = events(directed=True)
    chosen = choose_settings(trial_of(log), log)
    assert chosen.transitions.fade < 0.97  # the last item says all
    assert chosen == choose_settings(trial_of(log), log)


def test_a_log_without_choices_keeps_the_defaults_and_asks_no_further_source() -> None:
    log = events(directed=True)
    empty = Trial.of(
        log,
        features("always"),
        np.array([f"i{row:04d}" for row in range(ITEMS)], dtype=object),
        SPLIT.model_copy(update={"validation_start": 65 * DAY, "test_start": 66 * DAY}),
    )
    assert choose_settings(empty, log) == TableSettings()
    tried = try_sources(empty, parts_of_log(log, empty.as_of))
    assert tried["transitions"].quota == tried["similar"].quota == 0
    assert tried["popular"].quota > 0


def test_a_difference_within_noise_is_not_better() -> None:
    assert surely_better(np.full(10, 0.1))
    assert not surely_better(np.array([1.0, -1.0] * 20))
    assert not surely_better(np.zeros(5))
    assert not surely_better(np.zeros(0))
