"""Where a drift report and its figures end up: build folder, store, textfile folder, Pushgateway."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from feature_repo.errors import StorageError
from monitoring.drift.report import DriftReport, FeatureDrift
from monitoring.ledger import Ledger, Retraining, write_ledger
from monitoring.state import StateFolder
from pipelines.retraining.publication import expose, publish
from pipelines.settings import MonitoringSettings
from tests.kit.ports import free_port

STAMP = "20231114T192640Z-20231114T221320Z"


def report(**changes) -> DriftReport:
    feature = FeatureDrift(name="item_log_price", kind="item", psi=0.4, severity="significant", alarms=True, units=600)
    given = {
        "dataset": "shop",
        "bundle_version": "b1",
        "feature_hash": "f",
        "start": 1_699_990_000.0,
        "end": 1_700_000_000.0,
        "measured_at": 1_700_000_100.0,
        "verdict": "significant",
        "sentence": "item_log_price has drifted.",
        "num_requests": 600,
        "num_impressions": 12_000,
        "features": (feature,),
    }
    return DriftReport(**{**given, **changes})


def samples(text: str) -> dict[str, float]:
    return {one.name: one.value for family in text_string_to_metric_families(text) for one in family.samples}


@dataclass
class Gateway:
    """What a Pushgateway was sent.

    Attributes:
        url: Its address.
        status: What it answers.
        pushed: Path and body of each PUT.
    """

    url: str = ""
    status: int = 200
    pushed: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            made.pushed.append((self.path, body))
            self.send_response(made.status)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Nothing: the test reads `pushed`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_build_folder_and_the_store_have_the_report(tmp_path: Path) -> None:
    state = StateFolder(str(tmp_path / "store"))
    page = publish(report(), state, tmp_path / "build")
    assert page == tmp_path / "build" / "drift" / "report.html"
    kept = tmp_path / "build" / "drift" / "history" / "shop" / STAMP
    stored = tmp_path / "store" / "monitoring" / "history" / STAMP
    for folder in (page.parent, kept, stored):
        assert DriftReport.model_validate_json((folder / "drift.json").read_bytes()) == report()
        assert "item_log_price" in (folder / "report.html").read_text()
    assert sorted(path.name for path in page.parent.iterdir()) == [
        "drift.json", "history", "recs_drift.prom", "report.html",
    ]  # fmt: skip


def test_a_bucket_has_it_too(tmp_path: Path, bucket: str) -> None:
    state = StateFolder(f"s3://{bucket}/stores/shop")
    publish(report(), state, tmp_path)
    content = state.read(f"history/{STAMP}/drift.json")
    assert content is not None
    assert DriftReport.model_validate_json(content) == report()


def test_a_collector_reads_drift_and_retrainings_in_one_file(tmp_path: Path) -> None:
    state = StateFolder(str(tmp_path / "store"))
    refused = Retraining(
        key="k", bundle="b1", window_start=0, window_end=1, cause="c", started_at=1, finished_at=5, outcome="refused"
    )
    write_ledger(state, Ledger(retrainings=(refused,)))
    textfiles = tmp_path / "textfiles"
    for dataset in ("shop", "other"):
        expose(report(dataset=dataset), state, MonitoringSettings(textfile_dir=str(textfiles)))
    assert sorted(path.name for path in textfiles.iterdir()) == ["recs_drift_other.prom", "recs_drift_shop.prom"]
    found = samples((textfiles / "recs_drift_shop.prom").read_text())
    assert found["recs_drift_psi"] == 0.4
    assert found["recs_retraining_refused"] == 1
    assert found["recs_retraining_last_timestamp_seconds"] == 5
    publish(report(), state, tmp_path / "build")
    assert samples((tmp_path / "build" / "drift" / "recs_drift.prom").read_text()) == found


def test_a_pushgateway_gets_the_same(tmp_path: Path, gateway: Gateway) -> None:
    state = StateFolder(str(tmp_path / "store"))
    publish(report(), state, tmp_path / "build")
    expose(report(), state, MonitoringSettings(pushgateway=gateway.url + "/"))
    text = (tmp_path / "build" / "drift" / "recs_drift.prom").read_text()
    assert gateway.pushed == [("/metrics/job/kuberec-drift/dataset/shop", text)]
    gateway.status = 400
    with pytest.raises(StorageError, match=r"does not accept the metrics \(.*400.*\): check KUBEREC_PUSHGATEWAY"):
        expose(report(), state, MonitoringSettings(pushgateway=gateway.url))
    away = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(StorageError, match="check KUBEREC_PUSHGATEWAY"):
        expose(report(), state, MonitoringSettings(pushgateway=away))


def test_a_textfile_folder_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    settings = MonitoringSettings(textfile_dir=str(folder))
    folder.rmdir()
    folder.write_text("")
    with pytest.raises(StorageError, match=r"recs_drift_shop\.prom cannot be written .* check KUBEREC_TEXTFILE_DIR"):
        expose(report(), StateFolder(str(tmp_path)), settings)
