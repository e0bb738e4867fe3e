"""Tables that match nothing stop the run with ids of both; every share stands in report, page and description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.validation.gate import require_quality
from components.validation.report import QualityReport
from components.validation.rows.checks import check_rows
from feature_repo.dataset.config import DatasetConfig
from feature_repo.dataset.tables import PreparedTables
from feature_repo.errors import DatasetError, QualityError
from feature_repo.storage.files import read_json, write_json
from tests.kit.prepared_tables import config, event, write_prepared

EVENTS = [event(number, item_id=str(number % 10), user_id=f"u{number % 5}") for number in range(100)]
ITEMS = [{"item_id": f"{number:03}"} for number in range(20)]


def checked(
    directory: Path, quality: dict[str, Any] | None = None, joined: bool = False, **tables: Any
) -> QualityReport:
    write_prepared(directory / "tables", config(quality=quality or {}), **tables)
    if joined:
        path = directory / "tables" / "dataset.json"
        write_json(path, {**read_json(path), "label_sources": {"click": "joined", "convert": "joined"}})
    return check_rows(directory / "tables", directory / "clean", directory / "quarantine", directory / "page.html")


def gated(directory: Path) -> QualityReport:
    return require_quality(directory / "quarantine", directory / "page.html")


def shares(directory: Path) -> dict[str, float]:
    found: dict[str, float] = PreparedTables.open(directory / "clean").description["joins"]
    assert {join.name: join.share for join in QualityReport.read(directory / "quarantine").joins} == found
    return found


def test_the_shares_of_a_usual_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = [{"item_id": str(number)} for number in range(8, 28)]
    report = checked(tmp_path, interactions=EVENTS, items=items, users=[{"user_id": "u1"}])
    assert gated(tmp_path).passed
    assert shares(tmp_path) == {"item_match": 0.2, "user_match": 0.2, "item_use": 0.1}
    assert report.metrics()["item_match"] == 0.2
    said = capsys.readouterr().err
    assert "joins: 20.00% of interactions have an item with a row in items; 20.00% of interactions have a user" in said
    assert "warning" not in said
    assert "interactions have an item with a row in items" in (tmp_path / "page.html").read_text()


def test_no_row_in_items_stops_the_run_with_ids_of_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checked(tmp_path, interactions=EVENTS, items=ITEMS)
    words = (
        r"none of 100 interactions have an item with a row in items \(interactions have '0', '1', '2' and items have "
        r"'000', '001', '002'\)"
    )
    with pytest.raises(
        QualityError, match=rf"Tables of 'shop' do not match: {words}; write .*quality.minimum_item_match = 0"
    ):
        gated(tmp_path)
    assert "warning: none of 100 interactions" in capsys.readouterr().err
    page = (tmp_path / "page.html").read_text()
    assert "Tables do not match: this stops the run" in page
    assert "&#x27;000&#x27;" in page or "'000'" in page


@pytest.mark.parametrize(("minimum", "passes"), [(0, True), (0.2, True), (0.21, False)])
def test_the_owner_sets_the_minimum(minimum: float, passes: bool, tmp_path: Path) -> None:
    items = ITEMS if minimum == 0 else [{"item_id": "1"}, {"item_id": "2"}]
    checked(tmp_path, {"minimum_item_match": minimum}, interactions=EVENTS, items=items)
    if passes:
        assert gated(tmp_path).passed
    else:
        with pytest.raises(QualityError, match=r"only 20 \(20.00%\) of 100 .* below the minimum of 21.00%; write"):
            gated(tmp_path)


def test_ids_that_differ_in_more_than_spelling_are_shown_too(tmp_path: Path) -> None:
    checked(tmp_path, interactions=EVENTS, users=[{"user_id": "account-9"}])
    with pytest.raises(QualityError, match=r"interactions have 'u0', 'u1', 'u2' and users have 'account-9'"):
        gated(tmp_path)


@pytest.mark.parametrize(("user", "share"), [("u0", 0.5), ("u1", None)])
def test_impressions_match_events_of_their_user(user: str, share: float | None, tmp_path: Path) -> None:
    time = EVENTS[0]["timestamp"]
    slate = [{"request_id": "r", "user_id": user, "item_id": item, "timestamp": time} for item in ("0", "1")]
    events = [{**EVENTS[0], "request_id": "r"}, *EVENTS[1:]]
    checked(tmp_path, joined=True, interactions=events, impressions=slate)
    if share is None:
        with pytest.raises(QualityError, match=r"none of 2 impressions have an event .*'u0 / r / 0' .* 'u1 / r / 0'"):
            gated(tmp_path)
    else:
        assert gated(tmp_path).passed
        assert shares(tmp_path) == {"impression_match": share}


def test_an_unknown_share_is_refused(tmp_path: Path) -> None:
    text = 'name = "shop"\n[objectives]\nclick = ["click"]\n[quality]\nminimum_item_match = 2\n'
    (tmp_path / "dataset.toml").write_text(text)
    with pytest.raises(DatasetError, match=r"quality\.minimum_item_match"):
        DatasetConfig.load(tmp_path)
