"""Past events: what is read of the file, and states that do not depend on how many events are folded at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from feature_repo.storage.files import write_parquet
from inference.feature_store.past import events as past
from inference.feature_store.past.events import PastEvents
from inference.feature_store.state_columns import RowMap


def read(path: Path) -> PastEvents:
    rows = [("a", "i1", 10, 1), ("a", "gone", 20, 1), ("a", "i0", 20, 2), ("c", "i1", 5, -1)]
    names = ("user_id", "item_id", "time_us", "grade")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    types = (pa.string(), pa.string(), pa.int64(), pa.int8())
    arrays = {name: pa.array(columns[name], kind) for name, kind in zip(names, types, strict=True)}
    write_parquet(path / "events.parquet", pa.table(arrays))
    return PastEvents.read(path / "events.parquet", RowMap(np.array(["i0", "i1"], dtype=object)))


@pytest.mark.parametrize("at_once", [1, 2, 2_000_000])
def test_only_events_before_the_moment_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(past, "EVENTS_AT_ONCE", at_once)
    users = ["a", "nobody", "a", "c", "a", "c"]
    history, own = read(tmp_path).state(users, np.array([20, 20, 21, 6, 10, 5]))
    assert np.diff(history.offsets).tolist() == [1, 0, 2, 0, 0, 0]
    assert history.rows.tolist() == [1, 1, 0]
    assert history.times.tolist() == [10e-6, 10e-6, 20e-6]
    assert np.diff(own.offsets).tolist() == [1, 0, 2, 1, 0, 0]
    assert own.negatives.tolist() == [0, 0, 0, 1]


def test_nobody_asks(tmp_path: Path) -> None:
    history, own = read(tmp_path).state([], np.zeros(0, dtype=np.int64))
    assert (history.offsets.tolist(), own.offsets.tolist()) == ([0], [0])
