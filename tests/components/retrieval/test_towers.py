"""Fitted towers: better than popularity, the same twice, usable for new items and by serving."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from components.features import build_features
from components.retrieval.config import TrainingConfig
from components.retrieval.files import load_towers
from components.retrieval.fitting.continued import Trained, continued
from components.retrieval.fitting.watch import Watch, quality
from components.retrieval.fitting.workers import Workers
from components.retrieval.model import TrainingData, user_inputs
from components.retrieval.towers import embed_items, fit, fit_towers, training_data, watched_span
from feature_repo.dataset.split import Split
from feature_repo.dataset.tables import PreparedTables
from feature_repo.errors import BundleError
from feature_repo.features.directory import FeaturesDirectory
from inference.candidates.query import Query
from inference.feature_store.historical import HistoricalFeatures
from inference.models.encoder import UserEncoder
from tests.kit import shop
from tests.kit.prepared_tables import START, config, event, write_prepared

CONFIG = TrainingConfig(dimension=16, hidden=32, batch=64, num_uniform=64, chunk=512, max_epochs=10)


@pytest.fixture(scope="module")
def split(shop_dirs: tuple[Path, Path]) -> Split:
    return PreparedTables.open(shop_dirs[0]).split


@pytest.fixture(scope="module")
def towers_dir(shop_dirs: tuple[Path, Path], split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("towers")
    fit_towers(*shop_dirs, out, until=split.validation_start, config=CONFIG)
    return out


def data_of(shop_dirs: tuple[Path, Path], until: float, end: float) -> TrainingData:
    tables, features = PreparedTables.open(shop_dirs[0]), FeaturesDirectory(shop_dirs[1])
    return training_data(tables, features.feature_set(), features.item_ids(), until, end, CONFIG)


def test_taste_is_found(shop_dirs: tuple[Path, Path], split: Split, towers_dir: Path) -> None:
    """As of the test start, recall@20 on the test span beats the popular list by far."""
    data = data_of(shop_dirs, split.test_start, split.log_end)
    watch = Watch.of(data, split.test_start, split.log_end, 1_000)
    tables = PreparedTables.open(shop_dirs[0])
    history = HistoricalFeatures(shop_dirs[1])
    ids = data.log.user_ids[watch.users].tolist()
    users = history.users(ids, np.full(len(ids), split.test_start))
    encoder = UserEncoder.load(towers_dir)
    scores = encoder.encode(users, [Query(user, split.test_start) for user in ids]) @ encoder.item_embeddings.T
    popular = np.bincount(data.items.event_rows, minlength=len(data.items)).astype(np.float32)
    found: dict[str, list[float]] = {"towers": [], "popular": []}
    for place, user in enumerate(watch.users):
        relevant = watch.relevant[watch.relevant // watch.num_items == user] % watch.num_items
        had = watch.excluded[watch.excluded // watch.num_items == user] % watch.num_items
        for name, line in (("towers", scores[place].copy()), ("popular", popular.copy())):
            line[had] = -np.inf
            found[name].append(np.isin(relevant, np.argsort(-line, kind="stable")[:20]).mean())
    assert len(tables.users) == 120
    assert len(watch) > 60
    assert np.mean(found["towers"]) > 1.4 * np.mean(found["popular"])


def test_training_reads_what_serving_reads(shop_dirs: tuple[Path, Path], split: Split, towers_dir: Path) -> None:
    """The inputs of a query from the feature store, and of the same user and cut from the log, are equal."""
    data = data_of(shop_dirs, split.test_start, split.test_start)
    users = np.arange(len(data.log.user_ids), dtype=np.int32)
    encoder, history = UserEncoder.load(towers_dir), HistoricalFeatures(shop_dirs[1])
    for cut in (split.rank_start, split.validation_start, split.test_start):
        times = np.full(len(users), cut)
        queries = [Query(user, cut, device="phone") for user in data.log.user_ids]
        served = encoder.inputs(history.users(data.log.user_ids.tolist(), times), queries)
        phone = data.feature_set.code_of["request.device"]["phone"]
        request = np.zeros((len(users), data.log.request.shape[1]), dtype=np.int32)
        request[:, data.feature_set.request_categorical.index("device")] = phone
        ends = data.log.known_at(users, np.full(len(users), data.log.grid.cell_from(cut)))
        trained = user_inputs(data, users, ends, times, request)
        for name in type(served).__slots__:
            np.testing.assert_allclose(getattr(served, name), getattr(trained, name), rtol=1e-5, err_msg=name)


def test_two_fits_with_one_seed_are_the_same(shop_dirs: tuple[Path, Path], split: Split) -> None:
    data = data_of(shop_dirs, split.rank_start, split.rank_start)
    one, two, other = (fit(data, CONFIG, split.rank_start, None, 1, seed)[0] for seed in (5, 5, 6))
    for side in ("users", "items"):
        weights = getattr(two, side).state_dict()
        for name, value in getattr(one, side).state_dict().items():
            torch.testing.assert_close(value, weights[name], atol=0, rtol=0)
    assert (one.items.ids.weight - other.items.ids.weight).abs().max() > 0.01


def test_towers_do_not_depend_on_the_number_of_threads(shop_dirs: tuple[Path, Path], split: Split) -> None:
    data = data_of(shop_dirs, split.rank_start, split.rank_start)
    fitted = []
    for num_threads, num_shards in ((1, 2), (2, 2), (3, 2), (1, 1)):
        config = CONFIG.model_copy(update={"num_threads": num_threads, "num_shards": num_shards})
        fitted.append(fit(data, config, split.rank_start, None, 1, 5)[0].weights())
    for name, value in fitted[0].items():
        for other in fitted[1:3]:
            torch.testing.assert_close(value, other[name], atol=0, rtol=0, msg=name)
    weight = "users.top.layers.1.weight"  # the masks of the dropout belong to the shards
    assert not torch.equal(fitted[0][weight], fitted[3][weight])


def test_epochs_are_found_without_the_test_span(split: Split, towers_dir: Path) -> None:
    assert watched_span(split, split.rank_start) == (split.rank_start, split.rank_start + 5 * shop.DAY)
    assert watched_span(split, split.validation_start) == (split.validation_start, split.test_start)
    assert watched_span(split, split.test_start) == (split.validation_start, split.test_start)
    described = json.loads((towers_dir / "towers.json").read_text())
    assert described["until"] == split.validation_start
    assert 1 <= described["epochs"] <= CONFIG.max_epochs
    assert 0 < described["ndcg_at_100"] <= described["recall_at_100"] <= 1


def test_later_towers_continue_earlier_ones(shop_dirs: tuple[Path, Path], split: Split, towers_dir: Path) -> None:
    """Known items start with their vectors, new items are unknown, and the rest of both networks stays."""
    towers, _, known = load_towers(towers_dir)
    data = data_of(shop_dirs, split.test_start, split.test_start)
    ids = FeaturesDirectory(shop_dirs[1]).item_ids()
    later = continued(Trained(towers, known, 3, 1), ids, data, seed=0).weights()
    before, own = towers.weights(), ids[data.item_index > 0].tolist()
    for name in before.keys() - {"items.ids.weight"}:
        torch.testing.assert_close(later[name], before[name], atol=0, rtol=0)
    assert set(own) - set(known)
    for place, item in enumerate(own, start=1):
        start = before["items.ids.weight"][known.index(item) + 1 if item in known else 0]
        torch.testing.assert_close(later["items.ids.weight"][place], start, atol=0, rtol=0)


def test_later_towers_are_trained_further(
    shop_dirs: tuple[Path, Path], split: Split, towers_dir: Path, tmp_path: Path
) -> None:
    numbers = fit_towers(*shop_dirs, tmp_path, until=split.test_start, before_dir=towers_dir, config=CONFIG)
    first, last = (json.loads((folder / "towers.json").read_text()) for folder in (towers_dir, tmp_path))
    more = CONFIG.further_epochs(first["epochs"], first["num_examples"], last["num_examples"])
    assert numbers["epochs"] == last["epochs"] == first["epochs"] + more
    assert last["curve"][: len(first["curve"])] == first["curve"]
    assert [ndcg for _, _, ndcg in last["curve"][len(first["curve"]) :]] == [None] * more
    assert max(ndcg for _, _, ndcg in first["curve"]) == first["ndcg_at_100"]
    old, new = load_towers(towers_dir)[0].weights(), load_towers(tmp_path)[0].weights()
    assert (new["users.history.last.weight"] - old["users.history.last.weight"]).abs().max() > 0


def test_further_epochs_replace_a_fit_from_scratch() -> None:
    assert TrainingConfig.further_epochs(4, 28_055, 46_844) == 2
    assert TrainingConfig.further_epochs(3, 984_000, 990_000) == 1
    assert TrainingConfig.further_epochs(4, 0, 0) == 4


def test_items_never_sold_lie_with_their_category(shop_dirs: tuple[Path, Path], towers_dir: Path) -> None:
    embeddings = np.load(towers_dir / "item_embeddings.npy")
    own = set(json.loads((towers_dir / "item_ids.json").read_text()))
    ids = FeaturesDirectory(shop_dirs[1]).item_ids()
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    for row in range(160, 164):
        assert ids[row] not in own
        near = [(embeddings[taste:160:4] @ embeddings[row]).mean() for taste in range(4)]
        assert int(np.argmax(near)) == row % 4


def test_new_items_are_embedded_and_known_ones_move_with_their_counts(
    shop_dirs: tuple[Path, Path], split: Split, towers_dir: Path, tmp_path: Path
) -> None:
    rows = shop.rows()
    rows["items"].append({"item_id": "i0005", "title": "new lamp", "category": "a"})
    grown, features, out = tmp_path / "tables", tmp_path / "features", tmp_path / "towers"
    grown.mkdir()
    build_features(write_prepared(grown, shop.settings(), **rows), features)
    embeddings = embed_items(grown, features, towers_dir, out, until=split.stamp(split.log_end))
    before = np.load(towers_dir / "item_embeddings.npy")
    ids = FeaturesDirectory(features).item_ids().tolist()
    assert embeddings.shape == (len(before) + 1, 16)
    np.testing.assert_array_equal(np.load(out / "item_embeddings.npy"), embeddings)
    kept = np.delete(embeddings, ids.index("i0005"), axis=0)
    closeness = (kept * before).sum(axis=1)
    assert 0.5 < np.median(closeness) < 1 - 1e-6
    again = embed_items(shop_dirs[0], shop_dirs[1], towers_dir, tmp_path / "again", until=split.validation_start)
    np.testing.assert_allclose(again, before, atol=1e-6)


def test_quality_is_what_counting_gives(shop_dirs: tuple[Path, Path], split: Split, towers_dir: Path) -> None:
    data = data_of(shop_dirs, split.validation_start, split.test_start)
    towers, _, own = load_towers(towers_dir)
    assert own == FeaturesDirectory(shop_dirs[1]).item_ids()[data.item_index > 0].tolist()
    watch = Watch.of(data, split.validation_start, split.test_start, 50)
    config = CONFIG.model_copy(update={"list_length": 7})
    with Workers(1) as alone, Workers(2) as pair:
        reached = quality(towers, data, watch, config, alone)
        assert quality(towers, data, watch, config, pair) == reached
    embeddings = towers.embed_items(data.items, data.item_index, split.validation_start)
    values = []
    log = data.log
    for user, end in zip(watch.users, watch.ends, strict=True):
        one = np.array([user], dtype=np.int32)
        inputs = user_inputs(
            data, one, np.array([end]), np.array([watch.start]), np.zeros((1, log.request.shape[1]), int)
        )
        with torch.no_grad():
            vector = towers.user_vectors(inputs, torch.from_numpy(embeddings[inputs.rows])).numpy()[0]
        mine = log.users == user
        had = set(log.rows[mine & (log.times < split.validation_start)])
        span = mine & (log.times >= split.validation_start) & (log.times < split.test_start)
        relevant = set(log.rows[span]) - had
        order = [row for row in np.argsort(-(embeddings @ vector)).tolist() if row not in had]
        places = [place for place, row in enumerate(order[:7]) if row in relevant]
        ideal = sum(1 / np.log2(place + 2) for place in range(min(len(relevant), 7)))
        values.append((len(places) / len(relevant), sum(1 / np.log2(place + 2) for place in places) / ideal))
    assert (reached.recall, reached.ndcg) == pytest.approx(np.mean(values, axis=0), abs=1e-6)


@pytest.mark.parametrize(
    ("users", "items", "hours"),
    [(1, 5, 200), (5, 1, 200), (3, 3, 20), (1, 1, 0)],
    ids=["user", "item", "short", "moment"],
)
def test_small_logs_have_towers(tmp_path: Path, users: int, items: int, hours: int) -> None:
    events = [
        event(n, user_id=f"u{n % users}", item_id=f"i{n % items}", **({} if hours else {"timestamp": START}))
        for n in range(max(hours, 3))
    ]
    tables, features = tmp_path / "tables", tmp_path / "features"
    tables.mkdir()
    build_features(write_prepared(tables, config(), interactions=events), features)
    split = PreparedTables.open(tables).split
    fit_towers(tables, features, tmp_path / "towers", until=split.cutoff_time("test"), config=CONFIG)
    embeddings = np.load(tmp_path / "towers" / "item_embeddings.npy")
    assert embeddings.shape == (items, 16)
    assert np.isfinite(embeddings).all()
    UserEncoder.load(tmp_path / "towers")


@pytest.mark.parametrize("name", ["towers.json", "user_tower.onnx", "item_embeddings.npy", "feature_set.json"])
def test_damaged_towers_are_refused(towers_dir: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "towers"
    shutil.copytree(towers_dir, copy)
    (copy / name).write_bytes(b"{")
    with pytest.raises(BundleError, match=r"again|cannot be read"):
        UserEncoder.load(copy)
    (copy / name).unlink()
    with pytest.raises(BundleError, match=r"again|cannot be read"):
        UserEncoder.load(copy)


def test_many_users_are_encoded_as_each_alone(shop_dirs: tuple[Path, Path], split: Split, towers_dir: Path) -> None:
    ids = [f"u{number:03d}" for number in range(40)] + ["nobody"]
    times = np.full(len(ids), split.test_start)
    encoder, history = UserEncoder.load(towers_dir), HistoricalFeatures(shop_dirs[1])
    together = encoder.encode(history.users(ids, times), [Query(user, split.test_start) for user in ids])
    assert together.shape == (41, 16)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for place in (0, 17, 40):
        query = Query(ids[place], split.test_start)
        alone = encoder.encode(history.users(ids[place : place + 1], times[:1]), [query])
        np.testing.assert_allclose(alone[0], together[place], atol=1e-5)
    assert encoder.encode(history.users([], times[:0]), []).shape == (0, 16)
