"""The protocols from the tiny world's own tables: `contract.py` and the written lists give every figure again."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.evaluation.protocols.leave_one_out import leave_one_out
from components.evaluation.protocols.rolling import MOST_OF_A_USER
from components.evaluation.run import evaluate_funnel
from components.features.build import build_features
from components.index.build import build_cutoff
from components.ingest import ingest
from components.marketplace.config import config_for
from components.marketplace.dataset.directory import make_dataset
from components.validation.rows.checks import check_rows
from tests.components.evaluation.contract import RawDataset, figures


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The tiny world with bad rows and bots, under a repeats rule: `dataset` and clean `tables` in a folder."""
    made: dict[str, Path] = {}

    def under(repeats: str) -> Path:
        if repeats not in made:
            folder = tmp_path_factory.mktemp(repeats)
            make_dataset(config_for("tiny"), folder / "dataset")
            toml = folder / "dataset" / "dataset.toml"
            toml.write_text(toml.read_text().replace('repeats = "until-converted"', f'repeats = "{repeats}"'))
            ingest(folder / "dataset", folder / "prepared")
            check_rows(folder / "prepared", folder / "tables", folder / "quarantine", folder / "page.html")
            made[repeats] = folder
        return made[repeats]

    return under


def measured(tables: Path, cutoff: str, out: Path) -> dict[str, dict[str, list[str]]]:
    """Evaluates without networks and trees; returns method -> user -> list."""
    build_features(tables, out / "features")
    build_cutoff(tables, out / "features", None, out / "cutoff", name=cutoff)
    evaluate_funnel(tables, out / "features", out / "cutoff", None, out, protocol="temporal")
    lists: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in pq.read_table(out / "evaluation" / "lists.parquet").to_pylist():
        mine = lists[row["method"]][row["user_id"]]
        assert row["rank"] == len(mine)
        mine.append(row["item_id"])
    return lists


@pytest.mark.parametrize(
    ("protocol", "repeats"),
    [
        ("temporal", "until-converted"),
        ("temporal", "always"),
        ("leave-one-out", "until-converted"),
        ("leave-one-out", "always"),
    ],
)
def test_figures_follow_from_the_dataset_and_the_lists(
    world: Callable[[str], Path], tmp_path: Path, protocol: str, repeats: str
) -> None:
    folder = world(repeats)
    raw = RawDataset(folder / "dataset")
    if protocol == "temporal":
        expected = raw.temporal()
        lists = measured(folder / "tables", "test", tmp_path)
    else:
        expected = raw.leave_one_out()
        leave_one_out(folder / "tables", tmp_path / "held")
        lists = measured(tmp_path / "held", "validation", tmp_path)
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert (content["users"], content["items"]) == (len(expected.relevant), len(expected.items))
    assert content["users"] > 100
    for name, users in expected.slices.items():
        assert content["slices"][name]["users"] == users > 0
    assert set(lists) == {name for name, told in content["methods"].items() if "absent" not in told}
    for method, by_user in lists.items():
        assert set(by_user) <= set(expected.relevant)
        for user, listed in by_user.items():
            assert len(set(listed)) == len(listed) <= 100
            assert not {(user, item) for item in listed} & expected.banned
        for name, value in figures(by_user, expected).items():
            assert content["methods"][method][name] == pytest.approx(value, abs=1e-9), (method, name)


def test_rolling_figures_follow_from_the_dataset_and_the_lists(world: Callable[[str], Path], tmp_path: Path) -> None:
    folder = world("until-converted")
    raw = RawDataset(folder / "dataset")
    build_features(folder / "tables", tmp_path / "features")
    build_cutoff(folder / "tables", tmp_path / "features", None, tmp_path / "cutoff", name="test")
    done = evaluate_funnel(
        folder / "tables",
        tmp_path / "features",
        tmp_path / "cutoff",
        None,
        tmp_path,
        mode="measure",
        protocol="rolling",
    )
    assert done.decision is not None
    assert not done.decision.release
    assert "rolling protocol" in done.decision.sentence
    lists: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    asked: dict[str, set[int]] = defaultdict(set)
    for row in pq.read_table(tmp_path / "evaluation" / "lists.parquet").to_pylist():
        moment = round(row["time"].timestamp() * 1e6)
        asked[row["user_id"]].add(moment)
        mine = lists[row["method"]][f"{row['user_id']} {moment}"]
        assert row["rank"] == len(mine)
        mine.append(row["item_id"])
    requests = [(user, moment) for user, moments in asked.items() for moment in moments]
    expected = raw.rolling(requests)
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert content["protocol"] == "rolling"
    assert (content["users"], content["queries"]) == (len(asked), len(requests))
    for name in ("new_items", "cold_items"):
        assert 0 < content["slices"][name]["users"] <= len(asked)
    assert max(map(len, asked.values())) <= MOST_OF_A_USER
    assert len(requests) > 1.3 * len(asked) > 130
    for method, by_query in lists.items():
        for name, listed in by_query.items():
            assert not {(name, item) for item in listed} & expected.banned
        for name, value in figures(by_query, expected).items():
            assert content["methods"][method][name] == pytest.approx(value, abs=1e-9), (method, name)
    for told in ("report.html", "report.md", "table.txt"):
        assert "rolling" in (tmp_path / "evaluation" / told).read_text()
