"""The simulated dataset keeps the contract, holds what its truth says, and rewards knowing the user."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.marketplace.config import config_for
from components.marketplace.dataset.directory import make_dataset
from components.marketplace.world.world import World
from feature_repo.dataset.config import DatasetConfig
from feature_repo.dataset.contract import CONTRACT_COLUMNS, TABLES
from feature_repo.dataset.split import DAY
from feature_repo.errors import SettingsError
from feature_repo.storage.files import read_json, sha256

TEST_DAYS = 7


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world") / "tiny"
    assert make_dataset(config_for("tiny"), out)
    return out


@pytest.fixture(scope="module")
def truth(tiny: Path) -> dict:
    return read_json(tiny / "truth" / "truth.json")


def columns(directory: Path, table: str) -> dict[str, np.ndarray]:
    content = pq.read_table(directory / f"{table}.parquet").to_pydict()
    return {name: np.array(values, dtype=object) for name, values in content.items()}


def clean_interactions(directory: Path) -> dict[str, np.ndarray]:
    bad = pq.read_table(directory / "truth" / "bad_rows.parquet").to_pydict()
    rows = [row for table, row in zip(bad["table"], bad["row"], strict=True) if table == "interactions"]
    return {name: np.delete(column, rows) for name, column in columns(directory, "interactions").items()}


def seconds(times: np.ndarray) -> np.ndarray:
    return np.array([time.timestamp() for time in times])


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tiny: Path, tmp_path: Path) -> None:
    make_dataset(config_for("tiny"), tmp_path / "again")
    make_dataset(config_for("tiny", seed=1), tmp_path / "other")
    for table in TABLES:
        original = sha256(tiny / f"{table}.parquet")
        assert original == sha256(tmp_path / "again" / f"{table}.parquet")
        assert original != sha256(tmp_path / "other" / f"{table}.parquet")


def test_a_dataset_is_made_once_and_replaced_only_by_another_world(tmp_path: Path) -> None:
    config = config_for("tiny", num_days=8, num_impressions=2_000, num_bots=0)
    out = tmp_path / "world"
    assert make_dataset(config, out)
    assert not make_dataset(config, out)
    assert make_dataset(config.model_copy(update={"seed": 2}), out)
    assert read_json(out / "truth" / "truth.json")["config"]["seed"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["world"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SettingsError, match="not a simulated dataset"):
        make_dataset(config_for("tiny"), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_the_tables_keep_the_contract(tiny: Path) -> None:
    config = DatasetConfig.load(tiny)
    assert config.objective_names == ("click", "engage", "convert")
    assert config.recommend.repeats == "until-converted"
    for table in TABLES:
        assert set(pq.read_schema(tiny / f"{table}.parquet").names) <= set(CONTRACT_COLUMNS[table])


def test_bad_rows_are_planted_as_counted_and_the_rest_is_clean(tiny: Path, truth: dict) -> None:
    log = columns(tiny, "interactions")
    planted = truth["planted"]["interactions"]
    known = DatasetConfig.load(tiny).known_event_types
    assert known is not None
    assert np.sum(log["user_id"] == None) == planted["null user_id"] > 0  # noqa: E711
    assert np.sum(log["item_id"] == None) == planted["null item_id"] > 0  # noqa: E711
    assert np.sum(log["price"] < 0) == planted["negative price"] > 0
    assert sum(kind not in known for kind in log["event_type"]) == planted["unknown event_type"] > 0
    rows = list(zip(*log.values(), strict=True))
    assert len(rows) - len(set(rows)) == planted["exact duplicate"] > 0
    assert np.sum(log["timestamp"] > datetime(2098, 1, 1, tzinfo=UTC)) == planted["far-future timestamp"] == 1
    bots = sum(bot["num_events"] for bot in truth["bots"])
    assert (sum(planted.values()) + bots) / len(rows) < 0.05  # even a gate that counts bots as unclean lets it pass
    clean = clean_interactions(tiny)
    assert len(clean["user_id"]) == len(rows) - sum(planted.values())
    times = seconds(clean["timestamp"])
    assert truth["log_start"] <= times.min() <= times.max() < truth["log_end"]


def test_bots_alone_pass_the_daily_limit_and_one_day_stands_out(tiny: Path, truth: dict) -> None:
    log = clean_interactions(tiny)
    day = ((seconds(log["timestamp"]) - truth["log_start"]) // DAY).astype(int)
    pairs, counts = np.unique(list(zip(log["user_id"], day.astype(str), strict=True)), axis=0, return_counts=True)
    limit = DatasetConfig.load(tiny).quality.maximum_daily_events
    assert {user for (user, _), count in zip(pairs, counts, strict=True) if count > limit} == {
        bot["user_id"] for bot in truth["bots"]
    }
    people = ~np.isin(log["user_id"], [bot["user_id"] for bot in truth["bots"]])
    volume = np.bincount(day[people])
    assert volume.argmax() == truth["spike_day"]
    assert volume.max() > 1.6 * np.median(volume)


def test_new_items_and_users_come_in_the_last_days_only(tiny: Path, truth: dict) -> None:
    log = clean_interactions(tiny)
    times = seconds(log["timestamp"])
    for column, new in (("item_id", truth["new_items"]), ("user_id", truth["new_users"])):
        at = np.isin(log[column], new)
        assert at.any()
        assert times[at].min() >= truth["log_end"] - truth["new_days"] * DAY
    people = columns(tiny, "users")
    signed_up = dict(zip(people["user_id"], seconds(people["signup_at"]), strict=True))
    assert all(time >= signed_up.get(user, 0) for user, time in zip(log["user_id"], times, strict=True))


def test_clicks_belong_to_what_was_shown(tiny: Path) -> None:
    shown = columns(tiny, "impressions")
    pairs = set(zip(shown["request_id"], shown["item_id"], strict=True))
    log = clean_interactions(tiny)
    own = [pair for pair in zip(log["request_id"], log["item_id"], strict=True) if pair[0] is not None]
    assert np.mean([pair in pairs for pair in own]) > 0.99  # but for the impressions whose item id was removed
    assert 0 < np.min(shown["propensity"]) <= np.max(shown["propensity"]) <= 1


def test_taste_beats_popularity_by_far_and_enough_users_tell(tiny: Path, truth: dict) -> None:
    world = World(config_for("tiny"))
    log = clean_interactions(tiny)
    positive = ~np.isin(log["event_type"], ["return", "share"])
    users, items = world.user_rows(list(log["user_id"][positive])), world.item_rows(list(log["item_id"][positive]))
    times = seconds(log["timestamp"][positive])
    start = truth["log_end"] - TEST_DAYS * DAY
    test = (times >= start) & (users >= 0)
    active = np.unique(users[test])
    assert len(active) >= 250
    relevant = np.zeros((len(world.market.population), len(world.market.catalogue)), dtype=bool)
    relevant[users[test], items[test]] = True
    taste = world.market.user_vectors(active, np.full(len(active), start)) @ world.market.item_vectors(14).T
    popular = np.tile(np.bincount(items[times < start], minlength=relevant.shape[1]), (len(active), 1))

    def hit_rate(scores: np.ndarray) -> float:
        best = np.argsort(-scores, axis=1)[:, :10]
        return float(relevant[active[:, None], best].any(axis=1).mean())

    assert hit_rate(taste) > hit_rate(popular) + 0.15
