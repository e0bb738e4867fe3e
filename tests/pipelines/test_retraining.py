"""Drift that starts a training in a cluster, spoken to over a real socket: one run, whatever happens in between."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from feature_repo.errors import StorageError
from feature_repo.files import read_json, write_json
from inference.bundle import open_bundle
from inference.manifest import Manifest
from inference.store import BundleStore
from monitoring.drift.report import DriftReport
from monitoring.ledger import Ledger, read_ledger, write_ledger
from pipelines.cluster import ClusterError
from pipelines.drift import run
from pipelines.drift_job import WINDOWS_FILE
from pipelines.job import Job
from pipelines.lease import retraining_lease
from pipelines.retraining import answer
from tests.inference import world
from tests.pipelines.drifting import NAME, Shop, make_shop
from tests.pipelines.kfp_server import KfpServer, started

ROOT = Path(__file__).resolve().parents[2]
DEARER = 2.0  # of the logarithm: enough for every decile to move


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with started() as made:
        yield made


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def shop(released: Shop, tmp_path: Path) -> Shop:
    """A copy of the released shop; its dataset is everybody's."""
    shutil.copytree(released.build, tmp_path / "build")
    return replace(released, build=tmp_path / "build")


@pytest.fixture
def job(shop: Shop, server: KfpServer) -> Job:
    return shop.job(KUBEREC_KFP_ENDPOINT=server.url, KUBEREC_COOLDOWN_SECONDS="0")


def ledger(shop: Shop) -> Ledger:
    return read_ledger(shop.job().state)


def gauges(shop: Shop) -> dict[str, float]:
    """Gauges of retrainings that Prometheus reads, by name and outcome."""
    families = text_string_to_metric_families((shop.build / "drift" / "recs_drift.prom").read_text())
    samples = [sample for family in families for sample in family.samples]
    return {sample.name + sample.labels.get("outcome", ""): sample.value for sample in samples}


def retrained(report: DriftReport) -> bool:
    assert report.answer is not None
    return report.answer.retrain


def told(report: DriftReport) -> str:
    assert report.answer is not None
    return report.answer.sentence


def hours(number: int) -> float:
    """Begin of the n-th window that is served."""
    return world.NOW + number * 3600.0


def test_an_ordinary_window_starts_nothing_and_is_looked_at_once(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0))
    report = run(job)
    assert (report.verdict, report.num_requests, report.start) == ("none", 600, world.NOW)
    assert not retrained(report)
    again = run(job)
    assert (again.verdict, again.num_requests, again.start) == ("insufficient", 0, report.end)
    assert server.runs == []
    assert gauges(shop)["recs_retraining_refused"] == 0


def test_a_window_with_too_few_requests_grows(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0), num=300, dearer=DEARER)
    assert run(job).verdict == "insufficient"
    assert not (shop.store / "monitoring" / WINDOWS_FILE).exists()
    assert server.runs == []
    shop.serve(hours(1), num=300, dearer=DEARER)
    report = run(job)
    assert (report.start, report.num_requests, report.verdict) == (world.NOW, 600, "significant")
    assert len(server.runs) == 1


def test_drift_submits_one_run_that_says_why(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0), dearer=DEARER)
    report = run(job)
    assert report.verdict == "significant"
    (submitted,) = server.runs
    (entry,) = ledger(shop).retrainings
    assert entry.outcome == "running"
    assert entry.run_id == submitted["run_id"]
    assert submitted["display_name"] == f"{NAME}-retraining-{entry.key}"
    arguments = submitted["runtime_config"]["parameters"]
    assert arguments["cause"] == entry.cause == told(report)
    assert "item_log_price" in entry.cause
    assert arguments["served_version"] == entry.bundle == shop.version
    assert arguments["dataset"] == str(shop.dataset)
    assert {"fingerprint", "code_version", "store", "log"} <= set(arguments)


def test_while_it_runs_no_other_is_started(shop: Shop, job: Job, server: KfpServer) -> None:
    for number in range(2):
        shop.serve(hours(number), dearer=DEARER)
        report = run(job)
        assert report.verdict == "significant"
    assert not retrained(report)
    assert len(server.runs) == len(ledger(shop).retrainings) == 1


def test_a_crash_after_submitting_starts_no_second_one(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0), dearer=DEARER)
    run(job)
    (entry,) = ledger(shop).retrainings
    # As a job leaves it that was killed before it entered the run, and before it used the window up.
    write_ledger(job.state, Ledger(retrainings=(entry.model_copy(update={"run_id": ""}),)))
    (shop.store / "monitoring" / WINDOWS_FILE).unlink()
    run(job)
    assert len(server.runs) == 1
    lost, again = ledger(shop).retrainings
    assert (lost.outcome, lost.lost) == ("failed", True)
    assert (again.outcome, again.run_id, again.key) == ("running", entry.run_id, entry.key)


def test_a_window_answered_once_is_answered_for_good(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0), dearer=DEARER)
    run(job)
    server.end(server.runs[0]["run_id"], "FAILED", ("refuse-op",))
    (shop.store / "monitoring" / WINDOWS_FILE).unlink()
    report = run(job)
    assert not retrained(report)
    assert len(server.runs) == 1


def test_a_refusal_is_told_until_a_release(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0), dearer=DEARER)
    run(job)
    server.end(server.runs[0]["run_id"], "FAILED", ("refuse-op-2",))
    report = run(job)
    (entry,) = ledger(shop).retrainings
    assert entry.outcome == "refused"
    assert entry.sentence == f"step refuse-op-2 refused it: see run {entry.run_id} of Kubeflow Pipelines"
    assert report.answer is not None
    assert report.answer.latest == entry
    assert read_json(shop.build / "drift" / "drift.json")["answer"]["latest"]["outcome"] == "refused"
    assert entry.sentence in (shop.build / "drift" / "report.html").read_text()
    assert gauges(shop)["recs_retraining_refused"] == 1
    assert gauges(shop)["recs_retraining_last_timestamp_secondsrefused"] == pytest.approx(entry.finished_at, abs=0.01)
    assert BundleStore(str(shop.store)).current() == shop.version

    shop.serve(hours(1), dearer=DEARER)
    run(job)
    assert len(server.runs) == 2
    second = ledger(shop).retrainings[1]
    version = release(shop, second.cause)
    server.end(second.run_id, "SUCCEEDED")
    run(job)
    ended = ledger(shop).retrainings[1]
    assert (ended.outcome, ended.version) == ("released", version)
    assert gauges(shop)["recs_retraining_refused"] == 0


def test_a_failure_is_no_refusal(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0), dearer=DEARER)
    run(job)
    server.end(server.runs[0]["run_id"], "FAILED", ("fit-towers-op",), "out of memory")
    run(job)
    (entry,) = ledger(shop).retrainings
    assert (entry.outcome, entry.lost) == ("failed", False)
    assert entry.sentence.startswith("out of memory: see run")
    assert gauges(shop)["recs_retraining_refused"] == 1


def test_after_one_the_next_waits_for_the_cool_down(shop: Shop, job: Job, server: KfpServer) -> None:
    patient = shop.job(KUBEREC_KFP_ENDPOINT=server.url)
    shop.serve(hours(0), dearer=DEARER)
    run(patient)
    server.end(server.runs[0]["run_id"], "FAILED", ("refuse-op",))
    shop.serve(hours(1), dearer=DEARER)
    report = run(patient)
    assert not retrained(report), told(report)
    assert len(server.runs) == 1
    shop.serve(hours(2), dearer=DEARER)
    assert retrained(run(job))  # its cool-down is 0
    assert len(server.runs) == 2


def test_a_cluster_that_is_away_uses_no_window_up(
    shop: Shop, job: Job, server: KfpServer, free_port: Callable[[], int]
) -> None:
    shop.serve(hours(0), dearer=DEARER)
    away = shop.job(KUBEREC_KFP_ENDPOINT=f"http://127.0.0.1:{free_port()}", KUBEREC_COOLDOWN_SECONDS="0")
    with pytest.raises(ClusterError, match="check KUBEREC_KFP_ENDPOINT"):
        run(away)
    assert (shop.build / "drift" / "report.html").stat().st_size > 0  # what was found is told all the same
    assert retrained(run(job))
    assert len(server.runs) == 1


def test_a_pushgateway_that_is_away_stops_no_retraining(
    shop: Shop, job: Job, server: KfpServer, free_port: Callable[[], int]
) -> None:
    shop.serve(hours(0), dearer=DEARER)
    silent = shop.job(KUBEREC_KFP_ENDPOINT=server.url, KUBEREC_PUSHGATEWAY=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StorageError, match="check KUBEREC_PUSHGATEWAY"):
        run(silent)
    assert len(server.runs) == 1


def test_while_another_holds_the_lease_nothing_is_started(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0), dearer=DEARER)
    with retraining_lease(job.state, NAME, "", 60):
        report = run(job)
    assert not retrained(report)
    assert told(report).startswith(f"a retraining of {NAME} is under way: process")
    assert server.runs == []
    assert ledger(shop) == Ledger()
    assert retrained(run(job))  # the window was not used up: the other job might have been lost


def test_a_bundle_that_was_replaced_meanwhile_is_not_retrained(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0), dearer=DEARER)
    report = run(job, retrain=False)
    release(shop, "somebody")
    answered, settled = answer(report, job)
    assert not answered.retrain
    assert not settled
    assert "is served by now" in answered.sentence
    assert server.runs == []


def test_only_looking_starts_nothing_and_uses_nothing_up(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0), dearer=DEARER)
    report = run(job, retrain=False)
    assert report.verdict == "significant"
    assert report.answer is None
    assert server.runs == []
    assert run(job).start == report.start


def test_a_window_can_be_named(shop: Shop, job: Job) -> None:
    shop.serve(hours(0))
    shop.serve(hours(1), dearer=DEARER)
    assert run(job, until=hours(1), retrain=False).verdict == "none"
    assert run(job, since=hours(1), retrain=False).verdict == "significant"
    assert run(job, retrain=False).num_requests == 1200


def test_two_jobs_at_once_start_one_retraining(shop: Shop, server: KfpServer) -> None:
    shop.serve(hours(0), dearer=DEARER)
    environment = shop.environment(KUBEREC_KFP_ENDPOINT=server.url, KUBEREC_COOLDOWN_SECONDS="0")
    command = [sys.executable, "-m", "pipelines.drift", "--dataset", str(shop.dataset)]
    jobs = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300) for process in jobs]
    assert [process.returncode for process in jobs] == [0, 0], said
    assert len(server.runs) == 1
    assert len(ledger(shop).retrainings) == 1
    assert sorted(line.split(":")[0] for out, _ in said for line in out.splitlines() if "retrained: " in line) == [
        "not retrained",
        "retrained",
    ]


def release(shop: Shop, cause: str) -> str:
    """Serve another bundle, made like the first but for a later name and a cause."""
    store = BundleStore(str(shop.store))
    path = shop.store / "bundles" / shop.version
    manifest = Manifest.read(path)
    version = f"9{shop.version}"
    made = manifest.model_copy(update={"version": version, "facts": manifest.facts.model_copy(update={"cause": cause})})
    copied = path.with_name(version)
    copied.mkdir()
    for name in manifest.files:
        (copied / name).parent.mkdir(parents=True, exist_ok=True)
        (copied / name).write_bytes((path / name).read_bytes())
    write_json(copied / "manifest.json", made.model_dump())
    assert open_bundle(copied).version == version
    store.set_current(version)
    return version
