"""Drift that starts a training in a cluster, spoken to over a real socket: one run, whatever happens in between."""

from __future__ import annotations

import subprocess
import sys

import pytest

from feature_repo.errors import ClusterError, StorageError
from feature_repo.storage.files import read_json
from inference.bundles.store import BundleStore
from monitoring.drift.report import DriftReport
from monitoring.ledger import Ledger, write_ledger
from pipelines.drift import run
from pipelines.retraining.drift_window import WINDOWS_FILE
from pipelines.retraining.lease.lease import retraining_lease
from pipelines.retraining.ledger_book import LOST, Job
from pipelines.retraining.response import answer
from tests.kit.checkout import ROOT
from tests.kit.ports import free_port
from tests.pipelines.drifting import DEARER, NAME, Shop, hours, release
from tests.pipelines.kfp_server import KfpServer


def retrained(report: DriftReport) -> bool:
    assert report.answer is not None
    return report.answer.retrain


def told(report: DriftReport) -> str:
    assert report.answer is not None
    return report.answer.sentence


def test_drift_submits_one_run_that_says_why(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0), dearer=DEARER)
    report = run(job)
    assert report.verdict == "significant"
    (submitted,) = server.runs
    (entry,) = shop.ledger.retrainings
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
    assert len(server.runs) == len(shop.ledger.retrainings) == 1


def test_a_crash_after_submitting_starts_no_second_one(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0), dearer=DEARER)
    run(job)
    (entry,) = shop.ledger.retrainings
    # As a job leaves it that was killed before it entered the run, and before it used the window up.
    write_ledger(job.state, Ledger(retrainings=(entry.model_copy(update={"run_id": ""}),)))
    (shop.store / "monitoring" / WINDOWS_FILE).unlink()
    report = run(job)
    assert not retrained(report)
    assert len(server.runs) == 1
    assert shop.ledger.retrainings == (entry,)


def test_a_crash_before_submitting_counts_for_nothing(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0), dearer=DEARER)
    run(job)
    (entry,) = shop.ledger.retrainings
    server.runs.clear()
    write_ledger(job.state, Ledger(retrainings=(entry.model_copy(update={"run_id": ""}),)))
    (shop.store / "monitoring" / WINDOWS_FILE).unlink()
    assert retrained(run(job))
    lost, again = shop.ledger.retrainings
    assert (lost.outcome, lost.lost, lost.sentence) == ("failed", True, LOST)
    assert (again.outcome, again.run_id, again.key) == ("running", server.runs[0]["run_id"], entry.key)


def test_a_run_that_the_cluster_made_without_saying_so_is_the_one(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0), dearer=DEARER)
    server.mood = "breaks"
    with pytest.raises(ClusterError, match="the answer is 503"):
        run(job)
    server.mood = "well"
    assert not retrained(run(job))
    (submitted,) = server.runs
    (entry,) = shop.ledger.retrainings
    assert (entry.outcome, entry.run_id) == ("running", submitted["run_id"])


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
    (entry,) = shop.ledger.retrainings
    assert entry.outcome == "refused"
    assert entry.sentence == f"The step refuse-op-2 refused the release: see run {entry.run_id} in Kubeflow Pipelines."
    assert report.answer is not None
    assert report.answer.latest == entry
    assert read_json(shop.build / "drift" / "drift.json")["answer"]["latest"]["outcome"] == "refused"
    assert entry.sentence in (shop.build / "drift" / "report.html").read_text()
    assert shop.gauges["recs_retraining_refused"] == 1
    assert shop.gauges["recs_retraining_last_timestamp_secondsrefused"] == pytest.approx(entry.finished_at, abs=0.01)
    assert BundleStore(str(shop.store)).current() == shop.version

    shop.serve(hours(1), dearer=DEARER)
    run(job)
    assert len(server.runs) == 2
    second = shop.ledger.retrainings[1]
    version = release(shop, second.cause)
    server.end(second.run_id, "SUCCEEDED")
    run(job)
    ended = shop.ledger.retrainings[1]
    assert (ended.outcome, ended.version) == ("released", version)
    assert shop.gauges["recs_retraining_refused"] == 0


def test_a_failure_is_no_refusal(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0), dearer=DEARER)
    run(job)
    server.end(server.runs[0]["run_id"], "FAILED", ("fit-towers-op",), "out of memory")
    run(job)
    (entry,) = shop.ledger.retrainings
    assert (entry.outcome, entry.lost) == ("failed", False)
    assert entry.sentence.startswith("The run failed (out of memory): see run")
    assert shop.gauges["recs_retraining_refused"] == 1


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


def test_a_cluster_that_is_away_uses_no_window_up(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0), dearer=DEARER)
    away = shop.job(KUBEREC_KFP_ENDPOINT=f"http://127.0.0.1:{free_port()}", KUBEREC_COOLDOWN_SECONDS="0")
    with pytest.raises(ClusterError, match="check KUBEREC_KFP_ENDPOINT"):
        run(away)
    assert (shop.build / "drift" / "report.html").stat().st_size > 0  # what was found is told all the same
    assert retrained(run(job))
    assert len(server.runs) == 1


def test_a_pushgateway_that_is_away_stops_no_retraining(shop: Shop, job: Job, server: KfpServer) -> None:
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
    assert told(report).startswith(f"A retraining of {NAME} is running already: process")
    assert server.runs == []
    assert shop.ledger == Ledger()
    assert retrained(run(job))  # the window was not used up: the other job might have been lost


def test_a_bundle_that_was_replaced_meanwhile_is_not_retrained(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0), dearer=DEARER)
    report = run(job, retrain=False)
    release(shop, "somebody")
    answered, settled = answer(report, job)
    assert not answered.retrain
    assert not settled
    assert "is in service now" in answered.sentence
    assert server.runs == []


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
    assert len(shop.ledger.retrainings) == 1
    assert sorted(line.split(":")[0] for out, _ in said for line in out.splitlines() if "etrained: " in line) == [
        "Not retrained",
        "Retrained",
    ]
