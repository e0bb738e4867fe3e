"""Windows of the served log: a request is looked at once, too few wait for more, and none reaches into the future."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_repo.dataset.split import DAY
from feature_repo.storage.files import read_json
from pipelines import drift
from pipelines.drift import run
from pipelines.retraining import drift_tasks
from pipelines.retraining.drift_window import WINDOWS_FILE
from pipelines.retraining.ledger_book import Job
from tests.kit import world
from tests.pipelines.drifting import DEARER, Shop, hours
from tests.pipelines.kfp_server import KfpServer

NO_VARIABLES = ("--variables", "{}")


def test_an_ordinary_window_starts_nothing_and_is_looked_at_once(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0))
    report = run(job)
    assert (report.verdict, report.num_requests, report.start) == ("none", 600, world.NOW)
    assert report.answer is not None
    assert not report.answer.retrain
    again = run(job)
    assert (again.verdict, again.num_requests, again.start) == ("insufficient", 0, report.end)
    kept = [read_json(path)["num_requests"] for path in (shop.store / "monitoring" / "history").rglob("drift.json")]
    assert sorted(kept) == [0, 600]
    assert server.runs == []
    assert shop.gauges["recs_retraining_refused"] == 0


def test_a_window_with_too_few_requests_grows(shop: Shop, job: Job, server: KfpServer) -> None:
    shop.serve(hours(0), num=300, dearer=DEARER)
    assert run(job).verdict == "insufficient"
    assert not (shop.store / "monitoring" / WINDOWS_FILE).exists()
    assert server.runs == []
    shop.serve(hours(1), num=300, dearer=DEARER)
    report = run(job)
    assert (report.start, report.num_requests, report.verdict) == (world.NOW, 600, "significant")
    assert len(server.runs) == 1


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


def test_a_window_ends_with_what_is_logged_and_no_later_than_now(shop: Shop, job: Job) -> None:
    shop.serve(hours(0))
    shop.serve(world.NOW + 70 * 365 * DAY, num=2)  # by a server whose clock was ahead
    assert run(job, until=hours(24 * 365)).end < hours(1)
    shop.serve(hours(1), dearer=DEARER)
    report = run(job)
    assert report.num_requests == 600
    assert report.end < hours(2)


@pytest.fixture
def handlers() -> Iterator[None]:
    """What this process does on signals is put back."""
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_job_in_the_background_of_a_shell_can_be_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    nowhere, beside = ("--dataset", str(tmp_path)), ("--report", str(tmp_path / "r"), "--page", str(tmp_path / "p"))
    commands = [lambda: drift.main([*nowhere]), lambda: drift_tasks.main(["measure", *nowhere, *beside, *NO_VARIABLES])]
    for command in commands:
        signal.signal(number, signal.SIG_IGN)  # as in a job that a shell has started with `&`
        with pytest.raises(SystemExit):
            command()  # it would go on from here, were there a dataset
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)  # as a lost lease does
