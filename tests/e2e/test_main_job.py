"""The main job end to end on the tiny simulated world: stopped, taken up again, run once more, refused by its gate.

One trained store serves all tests of it. The release gate may refuse so small a world, so it only warns here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.marketplace.config import config_for
from components.marketplace.dataset.directory import make_dataset
from feature_repo.storage.remote_folder import RemoteFolder
from inference.bundles.store import BundleStore
from inference.sources import SOURCES
from tests.e2e import main_job
from tests.kit.checkout import ROOT

pytestmark = pytest.mark.timeout(1800)  # three trainings on two cores that others may use too

METHODS = {"popular", "own", "markov", "itemknn", "ease", "als", "retrieval", "funnel"}
STOPPED_AT = "== fit-towers-op "
UNKEPT = {"require-quality-op", "require-schema-op", "publish-report-op", "release-op-2"}


@dataclass(frozen=True)
class Trained:
    """A finished job and what it left, read before anything else runs on the store."""

    dataset: Path
    build: Path
    stopped_before: list[str]
    stopped_with: tuple[int, str]
    left_by_stop: list[int]
    done: subprocess.CompletedProcess[str]
    feed: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @property
    def store(self) -> BundleStore:
        return BundleStore(str(self.build / "store" / "simulated-tiny"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The job, interrupted when the towers begin and then run to its end."""
    main_job.validation_python()
    directory = tmp_path_factory.mktemp("job")
    dataset, build = directory / "world", directory / "build"
    make_dataset(config_for("tiny"), dataset)
    lines = []
    with main_job.started(dataset, build, "gate=warn") as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if line.startswith(STOPPED_AT):
                break
        assert lines[-1].startswith(STOPPED_AT), "".join(lines)
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        last = process.stdout.read().splitlines()[-1]
        stopped = process.wait(timeout=60), last
        left = main_job.left_behind(build)
    assert main_job.bundles(build) == []
    done = main_job.run(dataset, build, "gate=warn")
    assert done.returncode == 0, done.stdout + done.stderr
    feed, metrics = (json.loads((build / "run" / name).read_text()) for name in ("feed.json", "metrics.json"))
    return Trained(dataset, build, main_job.steps("".join(lines)), stopped, left, done, feed, metrics)


def test_an_interrupt_says_how_to_go_on(trained: Trained) -> None:
    assert trained.stopped_with == (
        130,
        "error: The run was stopped; finished steps are kept, and the same command resumes after them.",
    )
    assert trained.left_by_stop == []


def test_a_stopped_run_goes_on(trained: Trained) -> None:
    kept = main_job.steps(trained.done.stdout, main_job.KEPT)
    assert kept[:2] == ["ingest-dataset", "check-rows-op"]
    assert "build-feature-snapshots" in kept
    assert set(kept) <= set(trained.stopped_before)
    assert "fit-towers-op" not in kept


def test_every_step_is_shown_once(trained: Trained) -> None:
    shown = main_job.steps(trained.done.stdout)
    assert len(shown) == len(set(shown))
    assert {"train-ranker-op", "evaluate-op", "release-op-2"} <= set(shown)
    assert "RuntimeWarning" not in trained.done.stderr


def test_the_feed_has_the_fields_of_the_contract(trained: Trained) -> None:
    feed = trained.feed
    assert {"request_id", "items", "cursor", "bundle_version", "degraded"} <= set(feed)
    assert feed["degraded"] == []
    assert feed["bundle_version"] == trained.store.current()
    assert [item["position"] for item in feed["items"]] == list(range(20))
    assert len({item["item_id"] for item in feed["items"]}) == 20
    for item in feed["items"]:
        assert item["title"]
        assert item["reason"]
        assert item["source"] in {source.name for source in SOURCES}
        assert isinstance(item["score"], float)


def test_the_feed_is_printed(trained: Trained) -> None:
    output = trained.done.stdout
    for item in trained.feed["items"]:
        assert any(item["title"][:48] in line and item["reason"] in line for line in output.splitlines())
    assert "  Milliseconds: users " in output


def test_metrics_hold_every_method(trained: Trained) -> None:
    methods = trained.metrics["methods"]
    assert set(methods) == METHODS
    assert set(trained.metrics["intervals"]) == METHODS
    for figures in methods.values():
        for name in ("hr@10", "ndcg@10", "ndcg@20", "recall@20", "recall@100", "recall@300", "mrr@10", "coverage@10"):
            assert 0 <= figures[name] <= 1
    assert methods["funnel"]["ndcg@20"] > methods["popular"]["ndcg@20"]


def test_the_table_and_the_latency_are_printed(trained: Trained) -> None:
    rows = [line.split() for line in trained.done.stdout.splitlines()]
    for method, figures in trained.metrics["methods"].items():
        assert any(row[:2] == [method, f"{figures['ndcg@20']:.4f}"] for row in rows), method
    assert any(" ".join(row).startswith("Latency over 500 requests of one client: p50 ") for row in rows)


def test_the_run_leaves_reports_and_no_process(trained: Trained) -> None:
    for name in ("quality.html", "statistics.html", "report.html", "report.md", "lists.parquet", "pipeline.log"):
        assert (trained.build / "run" / name).stat().st_size > 0
    assert main_job.left_behind(trained.build) == []


def test_the_manifest_says_what_was_measured_and_until_when(trained: Trained) -> None:
    version = trained.store.current()
    assert version is not None
    facts = trained.store.fetch(version).manifest.facts
    assert facts.dataset == "simulated-tiny"
    assert facts.weights_until < facts.log_end < facts.features_as_of
    assert facts.gate == ("passed" if trained.metrics["gate"]["passed"] else "warn")
    assert facts.metrics["methods"] == trained.metrics["methods"]


def test_a_second_run_is_kept_and_the_same_bundle_stays(trained: Trained) -> None:
    version = trained.store.current()
    again = main_job.run(trained.dataset, trained.build, "gate=warn")
    assert again.returncode == 0, again.stdout + again.stderr
    kept = set(main_job.steps(again.stdout, main_job.KEPT))
    # What is now served is compared with, so evaluation is asked again.
    assert set(main_job.steps(again.stdout)) - kept == UNKEPT | {"evaluate-op"}
    assert trained.store.current() == version
    assert len(list((trained.build / "store" / "simulated-tiny" / "bundles").iterdir())) == 1
    assert json.loads((trained.build / "run" / "metrics.json").read_text())["methods"] == trained.metrics["methods"]


def test_a_run_releases_into_a_bucket_and_serves_from_it(
    trained: Trained, bucket: str, redis_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = trained.store.current()
    monkeypatch.setenv("KUBEREC_STORES", f"s3://{bucket}/stores")
    monkeypatch.setenv("KUBEREC_REDIS", redis_server)
    done = main_job.run(trained.dataset, trained.build, "gate=warn")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fit-towers-op" in main_job.steps(done.stdout, main_job.KEPT)
    remote = BundleStore(f"s3://{bucket}/stores/simulated-tiny", trained.build / "elsewhere")
    version = remote.current()
    assert version is not None
    assert remote.fetch(version).manifest.facts.dataset == "simulated-tiny"
    feed = json.loads((trained.build / "run" / "feed.json").read_text())
    assert (feed["bundle_version"], feed["degraded"]) == (version, [])
    assert set(RemoteFolder(remote.url).names()) == {"bundles", "current", "released", "schema"}
    assert (trained.build / "cache" / version).is_dir()
    assert trained.store.current() == local
    assert not list(ROOT.glob("s3:*"))


def test_lost_user_ids_stop_the_run_at_the_gate(tmp_path: Path) -> None:
    make_dataset(config_for("tiny", defects={"null_users": 0.3}), tmp_path / "world")
    done = main_job.run(tmp_path / "world", tmp_path / "build")
    sentence = main_job.assert_one_sentence(done)
    assert "% of the" in sentence
    assert "are clean, below the minimum of 95" in sentence
    assert "user_id is missing in" in sentence
    assert "no bundle is in service yet" in sentence
    assert main_job.bundles(tmp_path / "build") == []
    assert (tmp_path / "build" / "run" / "quality.html").stat().st_size > 0
