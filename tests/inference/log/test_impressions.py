"""Slates as rows of the log: every cell is the slate's, and what was not ranked has no features."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.errors import PredictorError
from feature_repo.storage.files import write_parquet
from inference.candidates.query import Slate
from inference.flow.executor import Executor
from inference.log.impressions import impressions_schema, impressions_table
from inference.scorers.protocol import Scorer
from tests.kit import world


class PriceScorer(Scorer):
    """Ranks by the item's price feature, and keeps what it was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: Any = None

    name = "ranker"

    def score(self, batch, candidates, deadline=None):
        if self.error is not None:
            raise self.error
        self.asked = candidates
        price = candidates.features[:, 1].copy()
        price[0] = np.nan
        chance = np.linspace(0, 1, len(candidates), dtype=np.float32)
        return price, {"click": chance, "convert": chance / 2}


def served(queries, scorer=None, executor=None):
    made = world.artifacts()
    recommender = world.recommender(made, scorer, executor=executor)
    return made, recommender.recommend(queries)


MIXED = [
    world.query("u1", time=world.NOW + 0.000_25, count=3, country="DE", device="phone"),
    world.query("nobody", count=2),
    world.query("u2", surface="similar", item_id=world.item_id(8), count=4),
    world.query("u3", surface="email", count=30),
]


def test_rows_are_what_the_slates_hold():
    scorer = PriceScorer()
    made, slates = served(MIXED, scorer)
    table = impressions_table(slates, made)
    assert table.schema == impressions_schema(made.feature_set)
    assert table.num_rows == 3 + 2 + 4 + 30
    names = made.feature_set.ranker_features
    rows = iter(table.to_pylist())
    for slate, ranked in zip(slates, (True, False, False, True), strict=True):
        assert (slate.features is not None) == ranked == bool(slate.probabilities)
        for place in range(len(slate.rows)):
            row = next(rows)
            assert row["request_id"] == slate.query.request_id
            assert row["user_id"] == slate.query.user_id
            assert row["item_id"] == world.item_id(int(slate.rows[place]))
            assert row["position"] == place
            assert (row["surface"], row["country"], row["device"]) == (
                slate.query.surface,
                slate.query.country,
                slate.query.device,
            )
            assert row["score"] == pytest.approx(float(slate.scores[place]))
            assert row["source"] == slate.sources[place]
            assert row["bundle_version"] == "v1"
            assert row["feature_hash"] == made.feature_set.hash
            given = [row[f"feature_{name}"] for name in names]
            if ranked:
                assert np.array_equal(np.array(given, np.float32), slate.features[place], equal_nan=True)
                assert row["p_click"] == pytest.approx(2 * row["p_convert"])
            else:
                assert set(given) == {None}
                assert row["p_click"] is row["p_convert"] is None
    first = table["timestamp"][0].as_py()
    assert first == datetime.fromtimestamp(world.NOW, UTC).replace(microsecond=250)


def test_features_are_those_the_ranker_saw():
    scorer = PriceScorer()
    _, slates = served(MIXED, scorer)
    asked = scorer.asked
    for place, slate in enumerate(slates):
        mine = slice(int(asked.offsets[place]), int(asked.offsets[place + 1]))
        if slate.features is None:
            assert mine.start == mine.stop
            continue
        row_of = {int(row): at for at, row in enumerate(asked.rows[mine])}
        at = [row_of[int(row)] for row in slate.rows]
        assert np.array_equal(slate.features, asked.features[mine][at], equal_nan=True)


def test_an_unknown_score_is_null_and_a_missing_feature_is_not():
    scorer = PriceScorer()
    made, (slate,) = served([world.query("u1", count=10_000)], scorer)
    table = impressions_table([slate], made)
    assert table["score"].null_count == 1
    assert not table["score"][-1].is_valid
    assert table["feature_rank_own"].null_count == 0
    assert np.isnan(table["feature_rank_own"].to_numpy()).any()


@pytest.mark.parametrize("scorer", [None, PriceScorer(PredictorError("down"))])
def test_what_no_ranker_ordered_has_no_features(scorer):
    made, slates = served(MIXED, scorer, Executor(strict=False))
    table = impressions_table(slates, made)
    assert table.num_rows == 39
    for name in (*(f"feature_{name}" for name in made.feature_set.ranker_features), "p_click", "p_convert"):
        assert table[name].null_count == 39, name
    assert table["score"].null_count == 0


def test_no_slates_and_empty_slates_make_an_empty_table(tmp_path):
    made, slates = served([world.query("u1", exclude=frozenset(world.item_id(row) for row in range(world.NUM_ITEMS)))])
    assert len(slates[0].rows) == 0
    nothing: list[Slate] = []
    for given in (nothing, slates):
        table = impressions_table(given, made)
        assert table.num_rows == 0
        assert table.schema == impressions_schema(made.feature_set)
    write_parquet(tmp_path / "x.parquet", pa.concat_tables([table, impressions_table([], made)]))
    assert pq.read_table(tmp_path / "x.parquet").schema.names == table.schema.names
