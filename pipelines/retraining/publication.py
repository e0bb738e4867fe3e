"""Publishes the reports of the drift job: to the build folder, the store, a textfile folder and a Pushgateway.

Decides where reports are written; `monitoring` produces them. The build folder has the latest report, and a history by
dataset and window. The store has the same history, for jobs without a persistent disk.
"""

from __future__ import annotations

import http.client
import tempfile
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from feature_repo.errors import StorageError
from feature_repo.storage.files import atomic_write, write_text
from monitoring.drift.figures import drift_figures
from monitoring.drift.page import DATA_FILE, METRICS_FILE, PAGE_FILE, write_reports
from monitoring.drift.report import DriftReport
from monitoring.ledger import read_ledger
from monitoring.ledger_metrics import ledger_metrics
from monitoring.state import StateFolder
from pipelines.settings import MonitoringSettings

HISTORY = "history"
KEPT = (PAGE_FILE, DATA_FILE)
PUSH_SECONDS = 10.0


def publish(report: DriftReport, state: StateFolder, build_dir: Path) -> Path:
    """Writes a report to the build folder and to the store.

    Args:
        report: The report, with or without its answer; a second call replaces the files of the first.
        state: The dataset's monitoring files.
        build_dir: Folder of all generated files.

    Returns:
        Path of the latest page.

    Raises:
        StorageError: The store cannot be written.
    """
    out = build_dir / "drift"
    # Both ends are needed: windows share their edges, and an open window keeps its start while its end moves.
    stamp = "-".join(f"{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}" for at in (report.start, report.end))
    with tempfile.TemporaryDirectory(prefix="kuberec-drift-") as scratch:
        write_reports(report, Path(scratch))
        for name in KEPT:
            content = (Path(scratch) / name).read_bytes()
            state.write(f"{HISTORY}/{stamp}/{name}", content)
            for folder in (out / HISTORY / report.dataset / stamp, out):
                with atomic_write(folder / name) as temporary:
                    temporary.write_bytes(content)
    write_text(out / METRICS_FILE, _figures(report, state))
    return out / PAGE_FILE


def expose(report: DriftReport, state: StateFolder, settings: MonitoringSettings) -> None:
    """Publishes the metrics of a report for Prometheus. Jobs call it last, because a collector may be unreachable.

    Args:
        report: The report.
        state: The dataset's monitoring files.
        settings: Textfile folder and Pushgateway.

    Raises:
        StorageError: The Pushgateway does not accept the metrics, or the textfile folder cannot be written.
    """
    figures = _figures(report, state)
    if settings.textfile_dir:
        # One file per dataset; the collector only reads *.prom, so it never reads the temporary file.
        path = Path(settings.textfile_dir) / f"recs_drift_{report.dataset}.prom"
        try:
            write_text(path, figures)
        except OSError as error:
            raise StorageError(
                f"The file {path} cannot be written ({error.strerror}): check KUBEREC_TEXTFILE_DIR."
            ) from error
    if settings.pushgateway:
        _push(figures, report.dataset, settings.pushgateway)


def _figures(report: DriftReport, state: StateFolder) -> str:
    """Metrics of drift and retrainings in Prometheus' text format."""
    return drift_figures(report) + ledger_metrics(report.dataset, read_ledger(state), report.bundle_version)


def _push(figures: str, dataset: str, pushgateway: str) -> None:
    """Replaces the dataset's group of metrics on the Pushgateway."""
    address = f"{pushgateway.rstrip('/')}/metrics/job/kuberec-drift/dataset/{dataset}"
    request = urllib.request.Request(address, figures.encode(), {"Content-Type": "text/plain; version=0.0.4"})
    request.method = "PUT"
    try:
        urllib.request.urlopen(request, timeout=PUSH_SECONDS).close()
    except (OSError, http.client.HTTPException) as error:
        raise StorageError(
            f"The Pushgateway at {pushgateway} does not accept the metrics ({error}): check KUBEREC_PUSHGATEWAY."
        ) from error
