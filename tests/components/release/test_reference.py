"""The reference of a release: what is counted, what of the catalogue is whose time, and how it is kept."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.release.profile import SAMPLE_REQUESTS, profile, sample
from feature_repo.dataset.tables import TIMESTAMP
from feature_repo.errors import BundleError
from feature_repo.features.feature_set import FeatureSet
from inference.drift.bins import SHIFTS
from inference.drift.reference import Reference, ReferenceColumn
from inference.drift.watched import counted_tables, effective_requests, num_units, ranked_rows, watched
from inference.log.impressions import impressions_table
from inference.scorers.protocol import Scorer
from tests.kit import world

DAYS = np.array([world.NOW - 2 * world.DAY, world.NOW - world.DAY])


class ByPrice(Scorer):
    """Orders by price; a probability of each objective."""

    name = "ranker"

    def score(self, _batch, candidates, _deadline=None):
        chance = np.linspace(0, 1, len(candidates), dtype=np.float32)
        return -candidates.features[:, 1], {"click": chance, "convert": chance}


@cache
def shown(num: int = 40) -> pa.Table:
    """Slates of two days; of some users nothing is known."""
    made = world.artifacts()
    recommender = world.recommender(made, ByPrice())
    queries = [
        world.query(
            f"u{n}" if n % 4 else "a stranger",
            time=float(DAYS[n % 2]) + 60,
            request_id=f"r{n:03d}",
            surface=("home", "email")[n % 2],
            count=5,
        )
        for n in range(num)
    ]
    return impressions_table(recommender.recommend(queries), made)


def made_columns(table: pa.Table) -> dict[str, ReferenceColumn]:
    labels = {"label_click": np.array([1.0, 0.0, 0.0]), "label_convert": np.array([0.0, 0.0, 0.0])}
    columns = profile(counted_tables(table), labels, np.array([0, 0, 1]), watched(world.feature_set()), DAYS)
    return {column.name: column for column in columns}


def test_every_column_is_watched_once_and_knows_whose_it_is() -> None:
    columns = watched(world.feature_set())
    names = [column.name for column in columns]
    features = world.feature_set()
    assert names == [
        *features.ranker_features, "score", "p_click", "p_convert", "label_click", "label_convert"
    ]  # fmt: skip
    kinds = {column.name: column.kind for column in columns}
    assert (kinds["item_log_price"], kinds["user_country"], kinds["request_country"]) == ("item", "user", "request")
    assert (kinds["own_count"], kinds["rank_own"], kinds["p_click"]) == ("cross", "source", "prediction")
    assert {name for name, kind in kinds.items() if kind == "calendar"} == {
        f"request_{name}" for name in ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos")
    }
    counted = {column.name: column.counted for column in columns}
    assert (counted["user_country"], counted["request_hour_sin"], counted["item_category"]) == (
        "requests",
        "requests",
        "items",
    )


def test_how_much_was_shown_is_a_kind_of_its_own() -> None:
    features = FeatureSet(
        objectives=("click",),
        item_numeric=("num_impressions_1d", "num_impressions_30d", "num_click_1d"),
        user_numeric=("num_impressions_1d",),
    )
    columns = {column.name: column for column in watched(features)}
    shown = {name for name, column in columns.items() if column.kind == "exposure"}
    assert shown == {"item_num_impressions_1d", "item_num_impressions_30d", "user_num_impressions_1d"}
    assert columns["item_num_impressions_1d"].counted == "items"
    assert columns["user_num_impressions_1d"].counted == "requests"


def test_a_seller_counts_once_a_day_as_its_items_were_shown_last() -> None:
    """Features are refreshed during a day, so that its items carry several of its rates."""
    hours = np.array([1, 1, 2, 3, 25, 1, 2]) * 3600.0
    table = pa.table(
        {
            "request_id": [f"r{place}" for place in range(7)],
            "item_id": ["a", "b", "c", "a", "a", "x", "y"],
            "timestamp": pa.array((hours * 1e6).astype(np.int64)).cast(TIMESTAMP),
            "feature_item_seller_id": pa.array(
                [1, 1, 1, 1, 1, 0, 0], pa.float32()
            ),  # the last two are in no vocabulary
            "feature_item_seller_rate_click_30d": pa.array([0.1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6], pa.float32()),
        }
    )
    counted = counted_tables(table)
    rates = np.sort(counted["sellers"]["feature_item_seller_rate_click_30d"].to_numpy())
    assert rates == pytest.approx([0.3, 0.4, 0.5, 0.6])
    assert num_units(counted)["sellers"] == 3


def test_items_may_be_those_of_an_even_draw_of_requests_a_day() -> None:
    """Of 40 requests at noon and 10 a day later each shows an item of its own, and all show one more."""
    hours = np.repeat([12.0, 36.0], [80, 20]) * 3600.0
    ids = np.repeat(np.arange(50), 2)
    table = pa.table(
        {
            "request_id": [f"r{number}" for number in ids],
            "item_id": [
                f"i{number}" if place else "everywhere" for number, place in zip(ids, [0, 1] * 50, strict=True)
            ],
            "timestamp": pa.array((hours * 1e6).astype(np.int64)).cast(TIMESTAMP),
        }
    )
    drawn = counted_tables(table, requests_a_day=20)
    assert drawn["requests"].num_rows == 50
    assert drawn["rows"].num_rows == 100
    shown = drawn["items"]["item_id"].to_pylist()
    assert shown.count("everywhere") == 2
    assert len(shown) == (20 + 1) + (10 + 1)
    own = sorted(int(item[1:]) for item in shown if item != "everywhere")
    assert own[-10:] == list(range(40, 50))
    assert 10 < np.mean(own[:20]) < 30  # not the first twenty
    assert counted_tables(table, requests_a_day=20)["items"].equals(drawn["items"])
    assert counted_tables(table)["items"].num_rows == 41 + 11


@pytest.mark.parametrize(
    ("requests_of_users", "expected"), [([1] * 12, 12.0), ([6, 6], 2.0), ([100], 1.0), ([8, 1, 1], 100 / 66)]
)
def test_requests_of_the_same_users_count_less(requests_of_users: list[int], expected: float) -> None:
    users = np.repeat(np.arange(len(requests_of_users)), requests_of_users)
    ids = np.repeat(np.arange(len(users)), 3)  # rows of a slate are one request
    table = pa.table({"request_id": [f"r{number}" for number in ids], "user_id": [f"u{users[n]}" for n in ids]})
    assert effective_requests(table) == pytest.approx(expected)


def test_users_and_requests_count_once_and_items_once_a_day() -> None:
    table = ranked_rows(shown())
    columns = made_columns(table)
    assert table.num_rows == 30 * 5  # strangers are not ranked
    surface = columns["request_surface"]
    assert dict(zip(surface.bins.labels(), np.array(surface.counts).T.tolist(), strict=True)) == {
        "email": [0, 20],
        "home": [10, 0],
        "other": [0, 0],
        "missing or new": [0, 0],
    }
    days = [set(table.filter(pc.equal(table["surface"], name))["item_id"].to_pylist()) for name in ("home", "email")]
    category = columns["item_category"]
    assert np.array(category.counts).sum(axis=1).tolist() == [len(items) for items in days]
    price = columns["item_log_price"]
    prices = dict(zip(table["item_id"].to_pylist(), table["feature_item_log_price"].to_pylist(), strict=True))
    expected = price.bins.count(np.array([prices[item] for items in days for item in items]))
    assert price.total.tolist() == expected.tolist()
    assert columns["score"].total.sum() == len(SHIFTS) * 150
    assert num_units(counted_tables(table)) == {
        "rows": 30, "requests": 30, "items": max(map(len, days)), "sellers": 1
    }  # fmt: skip


def test_labels_are_the_logs_own() -> None:
    click = made_columns(ranked_rows(shown()))["label_click"]
    assert dict(zip(click.bins.labels(), np.array(click.counts).T.tolist(), strict=True)) == {
        "no": [1, 1],
        "yes": [1, 0],
        "other": [0, 0],
        "missing or new": [0, 0],
    }
    columns = profile(
        counted_tables(ranked_rows(shown())), "no slates", np.zeros(0, int), watched(world.feature_set()), DAYS
    )
    assert [column.absent for column in columns][-2:] == ["no slates", "no slates"]


def test_a_sample_is_whole_requests_of_a_seed() -> None:
    table = ranked_rows(shown())
    assert keys(sample(table, 0)) == keys(table)
    many = pa.concat_tables(
        [table.set_column(0, "request_id", pa.array([f"{n}-{place // 5}" for place in range(150)])) for n in range(90)]
    )
    drawn = sample(many, 1)
    assert drawn.num_rows == 5 * SAMPLE_REQUESTS
    assert counted_tables(drawn)["requests"].num_rows == SAMPLE_REQUESTS
    assert keys(drawn) == keys(sample(many, 1))
    assert keys(drawn) != keys(sample(many, 2))


def keys(table: pa.Table) -> list[dict[str, object]]:
    return table.select(["request_id", "position", "item_id"]).to_pylist()


def reference() -> Reference:
    table = ranked_rows(shown())
    return Reference(
        feature_hash=world.feature_set().hash,
        start=float(DAYS[0]),
        end=world.NOW,
        num_requests=(10, 20),
        num_rows=table.num_rows,
        num_units=num_units(counted_tables(table)),
        effective_requests=effective_requests(table),
        objectives={"click": ("view",), "convert": ("purchase",)},
        columns=tuple(made_columns(table).values()),
    )


def test_it_is_kept_as_json_and_parquet(tmp_path: Path) -> None:
    table = ranked_rows(shown())
    reference().save(tmp_path / "reference", table)
    assert sorted(path.name for path in (tmp_path / "reference").iterdir()) == ["reference.json", "sample.parquet"]
    assert Reference.load(tmp_path / "reference") == reference()
    kept = pq.read_table(tmp_path / "reference" / "sample.parquet")
    assert kept.schema.names == table.schema.names
    assert keys(kept) == keys(table)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "holds no drift reference"),
        ("{", "cannot be read"),
        ('{"format": 2}', "cannot be read"),
    ],
)
def test_a_damaged_one_is_a_sentence(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "reference.json").write_text(content)
    with pytest.raises(BundleError, match=words):
        Reference.load(tmp_path)


def test_counts_that_do_not_fit_and_other_layouts_are_refused(tmp_path: Path) -> None:
    reference().save(tmp_path, shown(4))
    path = tmp_path / "reference.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "format": 3, "a field of then": []}))
    with pytest.raises(BundleError, match="has layout 3, this code reads 2"):
        Reference.load(tmp_path)
    content["columns"][0]["counts"][0].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(BundleError, match="cannot be read"):
        Reference.load(tmp_path)
