"""Events at the bounds of the API, and rows of a log that nothing checked, stop neither refresh, training nor drift."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.features.build import build_features
from components.marketplace.config import config_for
from components.marketplace.dataset.directory import make_dataset
from components.validation.environment import compute_statistics
from components.validation.gate import require_quality, require_schema
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.storage.files import write_parquet
from inference.log.layout import INTERACTIONS_SCHEMA
from inference.log.reader import read_impressions, read_interactions
from pipelines.local.servers import serve
from tests.e2e import main_job
from tests.e2e.odd_events import lifted, posted
from tests.kit import released_shop
from tests.kit.checkout import ROOT
from tests.kit.log_parts import SERVED, event, slate, write_part
from tests.kit.servers import wait_for

NUM_POSTED = 2_000
LATER = released_shop.END + timedelta(hours=2)


def write_odd_log(log: Path, users: list[str], items: list[str], num: int, at: datetime = LATER) -> None:
    """Parts with rows that nothing checked, of other types, and damaged."""
    draw = random.Random(3)
    write_part(log, "interactions", "odd", [lifted(draw, n, users, items, at) for n in range(num)])
    shown = slate("odd-1", users[0], items[:3], at) + slate("odd\n2", users[1], items[:3], at)
    shown[0] |= {"score": float("inf"), "feature_item_price": float("nan"), "user_id": None}
    shown[1] |= {"item_id": "x" * 300, "position": 2**31 - 1}
    write_part(log, "impressions", "odd", shown)
    good = [event(f"good-{n}", users[n % 5], items[n % 7], "click", at, price=4.0) for n in range(20)]
    path = write_part(log, "interactions", "types", good)
    table = pq.read_table(path, partitioning=None)
    place = table.schema.get_field_index("price")
    write_parquet(path, table.set_column(place, "price", pa.array(["dear"] * 20)))
    path = write_part(log, "interactions", "columns", good)
    write_parquet(path, pq.read_table(path, partitioning=None).drop_columns(["item_id"]))
    path = write_part(log, "interactions", "half", good)
    path.write_bytes(path.read_bytes()[:-40])
    path = write_part(log, "interactions", "inside", good)
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 300 + content[304:])
    write_part(log, "interactions", "sound", [row | {"event_id": f"sound-{n}"} for n, row in enumerate(good)])


def test_a_log_that_nothing_checked_is_learned_from_without_its_bad_rows(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = released_shop.write_dataset(tmp_path / "dataset")
    users = sorted({row["user_id"] for row in rows["interactions"] if row["user_id"]})
    items = sorted({row["item_id"] for row in rows["interactions"] if row["item_id"]})
    write_odd_log(tmp_path / "log", users, items, 60)
    tables = PreparedTables.open(released_shop.clean_tables(tmp_path / "dataset", tmp_path / "out", tmp_path / "log"))
    said = capfd.readouterr().err
    assert "the log of interactions: 4 parts cannot be read" in said
    assert "part-inside.parquet: its rows are damaged" in said
    assert "its column 'price' is of type string, not numbers" in said
    assert "quarantined rows of the log: interactions: " in said
    require_quality(tmp_path / "out" / "quarantine", tmp_path / "page.html")
    assert {f"sound-{n}" for n in range(20)} <= set(tables.interactions["event_id"].to_pylist())
    prices = tables.interactions["price"].drop_null().to_numpy()
    assert prices.max() <= 1e12
    build_features(tables.directory, tmp_path / "features")
    for path in FeaturesDirectory(tmp_path / "features").snapshots.iterdir():
        _assert_finite(pq.read_table(path))
    start, end = (LATER - timedelta(hours=1)).timestamp(), (LATER + timedelta(hours=2)).timestamp()
    events = read_interactions(str(tmp_path / "log"), start, end)
    assert events.schema == INTERACTIONS_SCHEMA
    assert None not in events["user_id"].to_pylist()
    shown = read_impressions(str(tmp_path / "log"), start, end, SERVED.names)
    assert shown["item_id"].to_pylist() == [items[2]]


def _assert_finite(table: pa.Table) -> None:
    for name, kind in zip(table.column_names, table.schema.types, strict=True):
        if pa.types.is_floating(kind):
            values = table[name].drop_null().to_numpy()
            assert np.isfinite(values).all(), name


@pytest.mark.long
def test_tfdv_reads_them_and_the_log_does_not_stop_a_training(tmp_path: Path) -> None:
    python = main_job.validation_python()
    rows = released_shop.write_dataset(tmp_path / "dataset")
    users, items = ([row[key] for row in rows["interactions"] if row[key]] for key in ("user_id", "item_id"))
    for name in ("", "log"):
        log = tmp_path / name if name else ""
        clean = released_shop.clean_tables(tmp_path / "dataset", tmp_path / f"out{name}", log)
        compute_statistics(str(clean), str(tmp_path / "s"), str(tmp_path / "store"), str(tmp_path / "1.html"), python)
        require_schema(tmp_path / "s", tmp_path / "1.html")
        write_odd_log(tmp_path / "log", users, items, 2_000)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A released bundle of a tiny world: dataset and build folder."""
    folder = tmp_path_factory.mktemp("odd")
    make_dataset(config_for("tiny"), folder / "world")
    _run("pipelines.run", folder / "world", folder / "build", "gate=warn")
    return folder / "world", folder / "build"


@pytest.mark.long
@pytest.mark.timeout(3600)  # three trainings
def test_random_events_within_the_bounds_of_the_api_and_beyond(shop: tuple[Path, Path]) -> None:
    dataset, build = shop
    name = json.loads((build / "run" / "metrics.json").read_text()).get("dataset", "simulated-tiny")
    log, store = build / "log" / name, build / "store" / name
    users, items = (
        sorted(set(pq.read_table(dataset / "interactions.parquet", columns=[key])[key].drop_null().to_pylist()))
        for key in ("user_id", "item_id")
    )
    (build / "serve").mkdir()
    settings = {"KUBEREC_LOG": str(log), "KUBEREC_CLOCK": "log", "KUBEREC_LOG_FLUSH_SECONDS": "1"}
    with serve(str(store), build / "serve", settings=settings) as servers, httpx.Client(base_url=servers.url) as client:
        for user in users[:120]:
            answer = client.get("/api/v1/recommendations", params={"user_id": user}, timeout=20)
            assert answer.status_code == 200, answer.text
        draw = random.Random(11)
        events = [posted(draw, number, users, items) for number in range(NUM_POSTED)]
        for start in range(0, NUM_POSTED, 100):
            answer = client.post("/api/v1/events", json=events[start : start + 100], timeout=30)
            assert answer.status_code == 202, answer.text
        for change in ({"price": 1e17}, {"quantity": 1e300}, {"value": 1e39}, {"item_id": "a\nb"}):
            answer = client.post("/api/v1/events", json={**events[0], **change})
            assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        wait_for(lambda: _num_rows(log) == NUM_POSTED, "the events are not in the log")
    soon = datetime.fromtimestamp(config_for("tiny").log_end, UTC) + timedelta(hours=2)
    for odd in (False, True):
        if odd:
            write_odd_log(log, users, items, NUM_POSTED, soon)
        for module, *options in (
            ("pipelines.refresh",),
            ("pipelines.drift", "--no-retrain"),
            ("pipelines.run", "gate=warn"),
        ):
            _run(module, dataset, build, *options)
    with serve(str(store), build / "serve", settings=settings) as servers, httpx.Client(base_url=servers.url) as client:
        assert_usable(client, sorted({event["user_id"] for event in events})[::40])


def assert_usable(client: httpx.Client, users: list[str]) -> None:
    """Each user can be asked for and paged on every route, and each shown item can be posted and used as a seed."""
    for user in users:
        page: dict[str, Any] = {"cursor": ""}
        shown: list[str] = []
        while page["cursor"] is not None and len(shown) < 100:
            cursor = {"cursor": page["cursor"]} if page["cursor"] else {}
            answer = client.get("/api/v1/recommendations", params={"user_id": user, "count": 40, **cursor}, timeout=20)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            shown += [item["item_id"] for item in page["items"]]
        assert len(set(shown)) == len(shown) > 40
        events = [
            {"event_id": f"{place}", "user_id": user, "item_id": item, "event_type": "click"}
            for place, item in enumerate(shown)
        ]
        assert client.post("/api/v1/events", json=events).status_code == 202
        seeded = {"user_id": user, "surface": "similar", "item_id": shown[0]}
        assert client.get("/api/v1/recommendations", params=seeded).status_code == 200
        answer = client.post("/v1/models/recommender:predict", json={"instances": [{"user_id": user}]})
        assert answer.status_code == 200, answer.text
    tensor = {"name": "user_id", "datatype": "BYTES", "shape": [len(users)], "data": users}
    answer = client.post("/v2/models/recommender/infer", json={"inputs": [tensor]}, timeout=30)
    assert answer.status_code == 200, answer.text


def _num_rows(log: Path) -> int:
    parts = (log / "interactions").rglob("part-*.parquet")
    return sum(pq.read_metadata(path).num_rows for path in parts)


def _run(module: str, dataset: Path, build: Path, *options: str) -> str:
    environment = {"KUBEREC_BUILD": str(build), "KUBEREC_VALIDATION_PYTHON": main_job.validation_python()}
    done: Any = subprocess.run(
        [sys.executable, "-m", module, "--dataset", str(dataset), *options],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-6000:]
    for word in ("Traceback", "RuntimeWarning"):
        assert word not in output, output[-6000:]
    return output
