"""Drift on one machine, with the training pipeline as it is: a killed job, the next one, and the gate that refuses it.

The shop's dataset lacks a third of its user ids, so that the data gate ends a retraining soon.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from feature_repo.files import read_json
from inference.store import BundleStore
from monitoring.drift.report import DriftReport
from monitoring.ledger import Ledger, read_ledger
from pipelines.drift import run
from pipelines.drift_steps import drift
from pipelines.local import run_pipeline
from pipelines.retraining import LOST
from tests.inference import world
from tests.pipelines.drifting import NAME, Shop, make_shop

ROOT = Path(__file__).resolve().parents[2]
LEASE_SECONDS = 4.0


@dataclass(frozen=True)
class Story:
    """What happened, one after the other.

    Attributes:
        shop: Whose log drifted.
        killed: The ledger as the killed job left it.
        next: The report of the job that came after its lease.
        seconds: From the kill to the end of that job.
        ledger: The ledger then.
    """

    shop: Shop
    killed: Ledger
    next: DriftReport
    seconds: float
    ledger: Ledger


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A drift job is killed while its retraining runs; another one comes by until it may start."""
    shop = make_shop(tmp_path_factory.mktemp("shop"))
    shop.serve(world.NOW, dearer=2.0)
    settings = {"KUBEREC_LEASE_SECONDS": f"{LEASE_SECONDS:g}"}
    job = shop.job(**settings)
    command = [sys.executable, "-m", "pipelines.drift", "--dataset", str(shop.dataset)]
    with subprocess.Popen(
        command, cwd=ROOT, env=shop.environment(**settings), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("== "):
                break
        process.send_signal(signal.SIGKILL)
    began = time.monotonic()
    killed = read_ledger(job.state)
    while True:
        report = run(job)
        assert report.answer is not None
        if report.answer.retrain:
            break
        assert "a retraining of simulated-tiny is under way" in report.answer.sentence
        assert time.monotonic() - began < 120, "the killed job blocks for ever"
    return Story(shop, killed, report, time.monotonic() - began, read_ledger(job.state))


def test_the_killed_job_left_a_running_retraining(story: Story) -> None:
    (entry,) = story.killed.retrainings
    assert (entry.outcome, entry.finished_at) == ("running", None)


def test_the_next_job_says_that_it_was_lost_and_starts_anew(story: Story) -> None:
    lost, again = story.ledger.retrainings
    assert (lost.outcome, lost.lost, lost.sentence) == ("failed", True, LOST)
    assert again.key == lost.key == story.killed.retrainings[0].key
    assert again.outcome == "refused"


def test_the_gates_refusal_is_told_and_what_was_served_stays(story: Story) -> None:
    refused = story.ledger.retrainings[-1]
    assert "are clean, below the minimum of 95" in refused.sentence
    assert refused.sentence.endswith(f"bundle {story.shop.version} stays served")
    assert BundleStore(str(story.shop.store)).current() == story.shop.version
    folder = story.shop.build / "drift"
    assert read_json(folder / "drift.json")["answer"]["latest"]["sentence"] == refused.sentence
    assert "user_id is missing in" in (folder / "report.html").read_text()
    assert f'recs_retraining_refused{{dataset="{NAME}"}} 1' in (folder / "recs_drift.prom").read_text()
    assert (story.shop.build / "retraining" / "quality.html").stat().st_size > 0


def test_reports_are_kept_beside_the_build_folder_and_in_the_store(story: Story) -> None:
    stamp = "20231114T231318Z"  # the window's end
    for folder in (story.shop.build / "drift" / "history" / NAME, story.shop.store / "monitoring" / "history"):
        assert [path.name for path in folder.iterdir()] == [stamp]
        assert DriftReport.model_validate_json((folder / stamp / "drift.json").read_bytes()) == story.next
        assert (folder / stamp / "report.html").stat().st_size > 0


def test_the_pipeline_does_the_same_in_two_steps(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = story.shop
    shop.serve(world.NOW + 7200)
    for name, value in shop.environment().items():
        monkeypatch.setenv(name, value)
    job = shop.job()
    run_dir = shop.build / "by-pipeline"
    run_dir.mkdir()
    arguments: dict[str, object] = {"dataset": str(shop.dataset), "variables": job.settings.variables()}
    run_pipeline(drift, arguments, job.settings, name=NAME, run_dir=run_dir)
    report = DriftReport.model_validate_json((shop.build / "drift" / "drift.json").read_bytes())
    assert (report.verdict, report.num_requests) == ("none", 600)
    assert report.answer is not None
    assert not report.answer.retrain
    assert report.answer.latest == story.ledger.retrainings[-1]  # the refusal is told until a release
    pages = list((shop.build / "pipeline" / NAME / "runs").glob("kuberec-drift-*/*/page"))
    assert len(pages) == 2
    assert all("No drift" in page.read_text() for page in pages)
