"""A window of a real log beside a bundle's reference: what is compared, what is left out, what alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.release.profile import profile
from feature_repo.dataset.tables import TIMESTAMP
from feature_repo.errors import BundleError
from inference.bundles.bundle import Bundle, write_bundle
from inference.bundles.manifest import Facts
from inference.drift.reference import Reference
from inference.drift.watched import counted_tables, effective_requests, num_units, watched
from inference.log.impressions import impressions_table
from inference.log.layout import HOUR, IMPRESSIONS, INTERACTIONS, INTERACTIONS_SCHEMA, hour_folder
from inference.scorers.lightgbm import LightGbmRanker
from inference.scorers.local import LocalScorer
from monitoring.drift import window as windows
from monitoring.drift.measure import measure
from monitoring.drift.psi import chance, psi
from monitoring.drift.report import ENOUGH_UNITS, DriftReport, FeatureDrift
from tests.kit import world
from tests.kit.bundle_factory import content_of, fit_ranker

NUM = 600
START = float(world.NOW // HOUR * HOUR)
OBJECTIVES: dict[str, tuple[str, ...]] = {"click": ("view",), "convert": ("purchase",)}


@dataclass(frozen=True)
class Served:
    """A released bundle, and 600 requests as it would log them."""

    bundle: Bundle
    shown: pa.Table


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    directory = tmp_path_factory.mktemp("served")
    made, ranker = world.artifacts(), fit_ranker(directory / "ranker")
    asked = [
        world.query(f"u{n % world.NUM_USERS}", time=START + 60 + n, request_id=f"r{n:04d}", country=("DE", "GB")[n % 2])
        for n in range(NUM)
    ]
    recommender = world.recommender(made, LocalScorer(LightGbmRanker.load(ranker, 1)))
    shown = impressions_table(recommender.recommend(asked), made)
    labels = {name: np.arange(shown.num_rows) % 10 < 2 for name in ("label_click", "label_convert")}
    # Three days of the same, so that ordinary days differ by chance alone.
    days = np.array([START - place * world.DAY for place in (3, 2, 1)])
    when = [set_column(shown, "timestamp", moments(np.full(shown.num_rows, day + 60))) for day in days]
    replayed = [set_column(table, "request_id", pc.binary_join_element_wise(table["request_id"], f"{place}", "-"))
                for place, table in enumerate(when)]  # fmt: skip
    counted = counted_tables(pa.concat_tables(replayed))
    Reference(
        feature_hash=made.feature_set.hash,
        start=float(days[0]),
        end=START,
        num_requests=(NUM,) * 3,
        num_rows=3 * shown.num_rows,
        num_units=num_units(counted),
        effective_requests=effective_requests(replayed[0]),
        objectives=OBJECTIVES,
        columns=profile(
            counted,
            {name: np.tile(values.astype(np.float64), 3) for name, values in labels.items()},
            np.repeat(np.arange(3), shown.num_rows),
            watched(made.feature_set),
            days,
        ),
    ).save(directory / "reference", shown.slice(0, 20))
    content = content_of(directory, made, ranker=ranker, reference=directory / "reference")
    facts = Facts(
        dataset="world",
        fingerprint="f" * 64,
        code_version="test",
        log_end=START,
        weights_until=START,
        ranker_until=START,
        features_as_of=START,
    )
    bundle = write_bundle(content, directory / "bundles", facts)
    return Served(bundle, set_column(shown, "bundle_version", pa.array([bundle.version] * shown.num_rows)))


def set_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, values)


def moments(seconds: np.ndarray) -> pa.Array:
    return pa.array(np.round(seconds * 1e6).astype(np.int64)).cast(TIMESTAMP)


def changed(table: pa.Table, feature: str, change: Any) -> pa.Table:
    """The rows with a feature changed by a function of its values."""
    name = f"feature_{feature}"
    values = change(table[name].to_numpy(zero_copy_only=False).copy())
    return set_column(table, name, pa.array(values.astype(np.float32)))


def logged(log: Path, *parts: pa.Table, events: Sequence[dict[str, Any]] = ()) -> str:
    for place, part in enumerate(parts):
        path = log / IMPRESSIONS / hour_folder(int(START // HOUR)) / f"part-{place}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(part, path)
    if events:
        path = log / INTERACTIONS / hour_folder(int(START // HOUR)) / "part-0.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(list(events), INTERACTIONS_SCHEMA), path)
    return str(log)


def look(served: Served, log: str, **changes: Any) -> DriftReport:
    return measure(served.bundle, log, START, START + HOUR, now=5.0, **changes)


def of(report: DriftReport, name: str) -> FeatureDrift:
    return next(feature for feature in report.features if feature.name == name)


def test_what_was_shown_before_has_not_drifted(served: Served, tmp_path: Path) -> None:
    report = look(served, logged(tmp_path, served.shown))
    assert (report.verdict, report.num_requests, report.num_impressions) == ("none", NUM, served.shown.num_rows)
    assert (report.dataset, report.bundle_version, report.measured_at) == ("world", served.bundle.version, 5.0)
    names = {feature.name for feature in report.features}
    assert names == {column.name for column in watched(served.bundle.feature_set)}
    assert of(report, "item_log_price").psi == pytest.approx(0, abs=1e-9)
    assert of(report, "score").kind == "prediction"
    assert report.sentence == "No column drifted more than on ordinary days, over 600 requests."


def test_the_worst_feature_stands_first_and_the_figure_is_that_of_its_bins(served: Served, tmp_path: Path) -> None:
    dearer = changed(served.shown, "item_log_price", lambda price: price + np.log(2))
    report = look(served, logged(tmp_path, changed(dearer, "request_country", lambda code: np.ones_like(code))))
    assert report.verdict == "significant"
    assert [feature.name for feature in report.features[:2]] == ["request_country", "item_log_price"]
    price = of(report, "item_log_price")
    shares = [(one.reference, one.current) for one in price.bins]
    assert price.psi == pytest.approx(psi(*np.array(shares).T))
    assert price.ordinary == pytest.approx(0, abs=1e-9)
    assert (price.units, price.counted) == (len(pc.unique(served.shown["item_id"])), "items")
    assert (of(report, "request_country").units, of(report, "request_country").counted) == (NUM, "requests")
    # Half of the requests came from either country, and all do from the first now: 0.5 ln 2 + 0.499 ln 500.
    assert of(report, "request_country").psi == pytest.approx(0.5 * np.log(2) + 0.499 * np.log(500))
    assert report.sentence.startswith("request_country (PSI 3.45), item_log_price (PSI ")


def test_the_calendar_is_told_and_never_alarms(served: Served, tmp_path: Path) -> None:
    other = changed(served.shown, "request_weekday_sin", lambda _: np.full(served.shown.num_rows, 0.9))
    report = look(served, logged(tmp_path, other))
    weekday = report.features[0]
    assert (weekday.name, weekday.severity, weekday.alarms) == ("request_weekday_sin", "significant", False)
    assert report.verdict == "none"


def test_what_ordinary_days_differ_by_does_not_alarm(served: Served, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    reference = Reference.load(served.bundle.path / "reference")
    columns = []
    for column in reference.columns:
        counts = np.array(column.counts)
        if column.name == "item_log_price":
            counts[2] = np.roll(counts[2], 3)  # one day was quite another
        columns.append(column.model_copy(update={"counts": tuple(map(tuple, counts.tolist()))}))
    reference.model_copy(update={"columns": tuple(columns)}).save(folder / "reference", served.shown.slice(0, 5))
    (folder / "feature_set.json").write_bytes((served.bundle.path / "feature_set.json").read_bytes())
    bundle = replace(served.bundle, path=folder)
    dearer = changed(served.shown, "item_log_price", lambda price: price + 0.8)
    report = measure(bundle, logged(tmp_path, dearer), START, START + HOUR)
    price = of(report, "item_log_price")
    assert price.ordinary is not None
    assert price.psi is not None
    assert 0.2 < price.psi < 2 * price.ordinary
    assert (price.severity, price.alarms, report.verdict) == ("significant", False, "none")
    assert "ordinary days differ" in price.detail


def test_too_few_requests_are_no_alarm_however_far_they_are(served: Served, tmp_path: Path) -> None:
    few = served.shown.filter(pc.less(served.shown["request_id"], "r0499"))
    report = look(served, logged(tmp_path, changed(few, "item_log_price", lambda price: price + 5)))
    assert (report.verdict, report.num_requests) == ("insufficient", 499)
    assert {feature.severity for feature in report.features} == {"insufficient"}
    assert (of(report, "item_log_price").psi or 0) > 1
    assert report.sentence == "Only 499 ranked requests were served; a verdict needs 500."
    details = {feature.detail.rpartition("; ")[2] for feature in report.features if feature.psi is not None}
    assert details == {"499 requests are too few for a severity"}
    assert look(served, str(tmp_path / "no log")).num_requests == 0


def test_only_what_this_bundle_ranked_is_compared(served: Served, tmp_path: Path) -> None:
    rows = served.shown.slice(0, 100)
    another = set_column(rows, "bundle_version", pa.array(["v0"] * 100))
    before = set_column(another, "feature_hash", pa.array(["0" * 16] * 100)).drop_columns(["feature_item_log_price"])
    recommender = world.recommender(world.artifacts(version=served.bundle.version))
    asked = [world.query(f"x{n}", time=START + 9, request_id=f"x{n}", count=5) for n in range(7)]
    unranked = impressions_table(recommender.recommend(asked), recommender.artifacts)
    report = look(served, logged(tmp_path, served.shown, another, before, unranked))
    assert (report.num_requests, report.num_impressions) == (NUM, served.shown.num_rows)
    assert report.num_left_out == {
        "served by another bundle": 100,
        "served with another feature set": 100,
        "not ranked: similar items, unknown users or a degraded answer": 35,
    }
    assert report.verdict == "none"


def test_a_window_is_open_at_its_start_and_closed_at_its_end(served: Served, tmp_path: Path) -> None:
    log = logged(tmp_path, served.shown)
    report = measure(served.bundle, log, START + 60, START + 61)
    assert report.num_requests == 1


def test_a_long_window_is_judged_by_whole_requests(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "MOST_REQUESTS", 550)
    log = logged(tmp_path, served.shown)
    report = look(served, log, seed=3)
    assert (report.num_requests, report.num_left_out) == (550, {})
    assert report.num_impressions == 550 * 20
    assert look(served, log, seed=3) == report


def test_missing_values_are_compared_too(served: Served, tmp_path: Path) -> None:
    def lost(values: np.ndarray) -> np.ndarray:
        values[::5] = np.nan
        return values

    report = look(served, logged(tmp_path, changed(served.shown, "own_count", lost)))
    own = report.features[0]
    assert (own.name, own.severity, own.detail) == ("own_count", "significant", "missing: 0 % → 20 %")


def test_few_items_are_no_alarm_unless_chance_alone_cannot_do_it(served: Served, tmp_path: Path) -> None:
    num = len(pc.unique(served.shown["item_id"]))
    assert num < ENOUGH_UNITS
    some = served.shown["item_id"].to_numpy(zero_copy_only=False) < "i0060"

    def dearer(prices: np.ndarray) -> np.ndarray:
        prices[some] += 2.0
        return prices

    price = of(look(served, logged(tmp_path, changed(served.shown, "item_log_price", dearer))), "item_log_price")
    assert price.psi is not None
    assert 0.1 < price.psi < chance(11, num, num)
    assert (price.severity, price.units) == ("insufficient", num)
    assert price.detail.endswith(f"; {num} items are too few for a severity")


@pytest.mark.parametrize(("num_users", "severity"), [(4, "insufficient"), (20, "significant")])
def test_a_few_busy_users_are_no_alarm_unless_chance_alone_cannot_do_it(
    served: Served, tmp_path: Path, num_users: int, severity: str
) -> None:
    """Some of 80 users, who ask several times each, have more sessions than anybody had."""
    some = np.isin(served.shown["user_id"].to_numpy(zero_copy_only=False), [f"u{n}" for n in range(num_users)])

    def more(values: np.ndarray) -> np.ndarray:
        return np.where(some, values + 1_000.0, values)

    log = logged(tmp_path, changed(served.shown, "user_num_sessions_total", more))
    sessions = of(look(served, log), "user_num_sessions_total")
    limit = chance(2, world.NUM_USERS, world.NUM_USERS)
    assert sessions.psi is not None
    assert (sessions.psi > limit) is (severity == "significant")
    assert sessions.psi > 0.2
    assert (sessions.severity, sessions.alarms, sessions.units) == (severity, True, NUM)
    few = "; requests of few users, equivalent to 80, are too few for a severity"
    assert sessions.detail.endswith(few) is (severity == "insufficient"), sessions.detail


def test_labels_are_what_the_events_of_the_requests_say(served: Served, tmp_path: Path) -> None:
    rows = served.shown.slice(0, served.shown.num_rows // 2).to_pylist()
    keys = ("user_id", "request_id", "item_id")
    event = {"timestamp": rows[0]["timestamp"]}
    events = [
        {**event, "event_id": f"e{n}", "event_type": kind, **{key: row[key] for key in keys}}
        for n, row in enumerate(rows)
        for kind in ("view", "search")
    ]
    of_nobody = served.shown.slice(served.shown.num_rows - 1).to_pylist()[0]
    others = [
        {**event, "event_id": "x", "event_type": "view", **{key: rows[0][key] for key in keys}, "request_id": "other"},
        {**event, "event_id": "y", "event_type": "view", **{key: of_nobody[key] for key in keys}, "user_id": "another"},
    ]
    report = look(served, logged(tmp_path, served.shown, events=[*events, *others]))
    click = of(report, "label_click")
    shares = {one.label: (round(one.reference, 6), round(one.current, 6)) for one in click.bins}
    assert shares == {"no": (0.8, 0.5), "yes": (0.2, 0.5)}
    assert (click.kind, click.severity) == ("label", "significant")


def test_without_events_labels_are_absent_with_the_reason(served: Served, tmp_path: Path) -> None:
    click = of(look(served, logged(tmp_path, served.shown)), "label_click")
    assert (click.psi, click.alarms, click.detail) == (None, False, "no events were reported for these requests")


def test_a_column_that_the_reference_never_saw_cannot_be_compared(served: Served, tmp_path: Path) -> None:
    sent = changed(served.shown, "request_session_length", lambda _: np.full(served.shown.num_rows, 3.0))
    length = of(look(served, logged(tmp_path, sent)), "request_session_length")
    assert (length.psi, length.alarms, length.detail) == (None, False, "the reference has no value of it")


def test_a_bundle_without_a_reference_is_told_in_a_sentence(served: Served, tmp_path: Path) -> None:
    bare = replace(served.bundle, path=tmp_path)
    with pytest.raises(BundleError, match=r"holds no drift reference, as no request .*: train again once there"):
        measure(bare, str(tmp_path / "log"), START, START + HOUR)
