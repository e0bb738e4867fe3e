"""`make drift`: what was served since the last look beside the bundle's reference, and a retraining where it drifted.

python -m pipelines.drift --dataset DIR [--no-retrain] [--since TIME] [--until TIME] [gate=warn]
"""

from __future__ import annotations

import argparse
import signal
from datetime import UTC, datetime
from pathlib import Path

from feature_repo.command import Command
from feature_repo.dataset.config import DatasetConfig
from feature_repo.errors import SettingsError
from monitoring.drift.report import DriftReport
from pipelines.definitions.parameters import TrainingParameters
from pipelines.retraining.drift_window import measure_window, react
from pipelines.retraining.ledger_book import Job
from pipelines.retraining.publication import expose, publish
from pipelines.settings import PipelineSettings

NUM_WORST = 5
# A terminated job ends its training like an interrupted one. A lost lease interrupts it too (`retraining/lease/`), also
# where a shell started it with `&`, which makes it ignore interrupts.
INTERRUPTS = (signal.SIGTERM, signal.SIGINT)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--dataset", type=Path, required=True, help="dataset directory whose served log is looked at")
    parser.add_argument("--no-retrain", action="store_true", help="only look: start nothing, use no window up")
    parser.add_argument("--since", help="begin the window there (RFC 3339), not where the last one ended")
    parser.add_argument("--until", help="end it there, not with the latest request")
    TrainingParameters.take(parser)


def work(options: argparse.Namespace) -> None:
    """Runs the drift job that the options ask for."""
    since, until = (_moment(name, getattr(options, name)) for name in ("since", "until"))
    parameters, settings = TrainingParameters.parse(options.parameters), PipelineSettings.from_environment()
    job = Job(options.dataset, DatasetConfig.load(options.dataset).name, parameters, settings)
    run(job, since=since, until=until, retrain=not options.no_retrain)


def run(job: Job, *, since: float | None = None, until: float | None = None, retrain: bool = True) -> DriftReport:
    """Measure, tell, and answer.

    Args:
        job: For whom.
        since: Begin of the window, unix seconds; where the last one ended if None.
        until: Its end; the latest request if None.
        retrain: False to look only.

    Raises:
        KuberecError: It could not be measured, told or answered. A training that ends without a release raises none:
            the report tells it.
    """
    report = measure_window(job, since, until)
    page = publish(report, job.state, job.settings.build)
    print(describe(report), flush=True)
    try:
        if retrain:
            report = react(report, job)
            publish(report, job.state, job.settings.build)
            assert report.answer is not None
            print(("retrained: " if report.answer.retrain else "not retrained: ") + report.answer.sentence)
    finally:
        expose(report, job.state, job.settings.monitoring)
    print(f"the report is {page}", flush=True)
    return report


def describe(report: DriftReport) -> str:
    """Verdict and worst features as a person reads them."""
    span = " to ".join(f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}" for at in (report.start, report.end))
    lines = [f"{span} UTC, {report.num_requests} requests: {report.sentence}"]
    measured = [found for found in report.features if found.psi is not None][:NUM_WORST]
    width = max((len(found.name) for found in measured), default=0)
    lines += [f"  {found.name:{width}}  PSI {found.psi:.3f}  {found.severity}  {found.detail}" for found in measured]
    return "\n".join(lines)


def _moment(name: str, text: str | None) -> float | None:
    """A time of the command line in unix seconds; one without a zone is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"--{name} is {text!r}: write a time such as 2026-01-31T06:00:00Z") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


main = Command("pipelines.drift", __doc__, work, add_arguments, interrupts=INTERRUPTS, intermixed=True)


if __name__ == "__main__":
    main()
