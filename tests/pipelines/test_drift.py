"""Drift on one machine, with the training pipeline as it is: a lost job, the next one, and the gate that refuses it.

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

from feature_repo.storage.files import read_json
from inference.bundles.store import BundleStore
from monitoring.drift.report import DriftReport
from monitoring.ledger import Ledger, Retraining, read_ledger, retraining_key, write_ledger
from pipelines.definitions.drift import drift
from pipelines.drift import run
from pipelines.local.runner import run_pipeline
from pipelines.retraining.ledger_book import LOST
from tests.kit import world
from tests.kit.checkout import ROOT
from tests.pipelines.drifting import NAME, Shop, make_shop


@dataclass(frozen=True)
class Story:
    """What happened, one after the other.

    Attributes:
        shop: Whose log drifted, and whose first retraining was lost.
        report: Of the job that came then.
        ledger: The ledger after it.
    """

    shop: Shop
    report: DriftReport
    ledger: Ledger


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A drift job comes by after one that was killed while its retraining ran."""
    shop = make_shop(tmp_path_factory.mktemp("shop"))
    shop.serve(world.NOW, dearer=2.0)
    job = shop.job()
    lost = Retraining(
        key=retraining_key(shop.version, world.NOW),
        bundle=shop.version,
        window_start=world.NOW,
        window_end=world.NOW + 3600,
        cause="prices drifted",
        started_at=time.time() - 600,
    )
    write_ledger(job.state, Ledger(retrainings=(lost,)))
    return Story(shop, run(job), read_ledger(job.state))


def test_the_job_after_a_killed_one_says_that_it_was_lost_and_starts_anew(story: Story) -> None:
    lost, again = story.ledger.retrainings
    assert (lost.outcome, lost.lost, lost.sentence) == ("failed", True, LOST)
    assert again.key == lost.key
    assert again.outcome == "refused"
    assert story.report.answer is not None
    assert story.report.answer.retrain
    assert story.report.answer.latest == again


def test_the_gates_refusal_is_told_and_what_was_served_stays(story: Story) -> None:
    refused = story.ledger.retrainings[-1]
    assert "are clean, below the minimum of 95" in refused.sentence
    assert refused.sentence.endswith(f"bundle {story.shop.version} stays in service.")
    assert BundleStore(str(story.shop.store)).current() == story.shop.version
    folder = story.shop.build / "drift"
    assert read_json(folder / "drift.json")["answer"]["latest"]["sentence"] == refused.sentence
    assert "user_id is missing in" in (folder / "report.html").read_text()
    assert f'recs_retraining_refused{{dataset="{NAME}"}} 1' in (folder / "recs_drift.prom").read_text()
    assert (story.shop.build / "retraining" / "quality.html").stat().st_size > 0


def test_reports_are_kept_beside_the_build_folder_and_in_the_store(story: Story) -> None:
    stamp = "20231114T221320Z-20231114T231318Z"  # the window
    for folder in (story.shop.build / "drift" / "history" / NAME, story.shop.store / "monitoring" / "history"):
        assert [path.name for path in folder.iterdir()] == [stamp]
        assert DriftReport.model_validate_json((folder / stamp / "drift.json").read_bytes()) == story.report
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


@pytest.mark.long
def test_a_killed_job_does_not_block_for_ever(tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    shop.serve(world.NOW, dearer=2.0)
    settings = {"KUBEREC_LEASE_SECONDS": "4"}
    job = shop.job(**settings)
    command = [sys.executable, "-m", "pipelines.drift", "--dataset", str(shop.dataset)]
    with subprocess.Popen(
        command, cwd=ROOT, env=shop.environment(**settings), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any(line.startswith("== ") for line in process.stdout)  # a step of the training runs
        process.send_signal(signal.SIGKILL)
    (entry,) = read_ledger(job.state).retrainings
    assert (entry.outcome, entry.finished_at) == ("running", None)
    began = time.monotonic()
    while True:
        report = run(job)
        assert report.answer is not None
        if report.answer.retrain:
            break
        assert f"A retraining of {NAME} is running already" in report.answer.sentence
        assert time.monotonic() - began < 300, "the killed job blocks for ever"
    assert [(one.outcome, one.lost) for one in read_ledger(job.state).retrainings] == [
        ("failed", True),
        ("refused", False),
    ]
