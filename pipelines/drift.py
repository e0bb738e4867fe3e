"""`make drift`: compares the log since the last window with the bundle's reference; significant drift retrains.

python -m pipelines.drift --dataset DIR|URL [--no-retrain] [--since TIME] [--until TIME] [gate=warn]
"""

from __future__ import annotations

import argparse
import signal
from datetime import UTC, datetime

from feature_repo.command import Command
from feature_repo.dataset.place import dataset_place, load_config
from feature_repo.errors import SettingsError
from monitoring.drift.report import DriftReport
from pipelines.definitions.parameters import TrainingParameters
from pipelines.retraining.drift_window import measure_window, react
from pipelines.retraining.ledger_book import Job
from pipelines.retraining.publication import expose, publish
from pipelines.settings import PipelineSettings

NUM_WORST = 5
# SIGTERM ends the training like an interrupt. A lost lease sends SIGINT (`retraining/lease/`), so its handler is set
# here: a job that a shell starts with `&` would ignore SIGINT otherwise.
INTERRUPTS = (signal.SIGTERM, signal.SIGINT)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "--dataset", type=dataset_place, required=True, help="dataset directory or URL; its log is measured"
    )
    parser.add_argument(
        "--no-retrain", action="store_true", help="measure only: start no retraining, keep the window open"
    )
    parser.add_argument("--since", help="start of the window (RFC 3339); the end of the last window by default")
    parser.add_argument("--until", help="end of the window (RFC 3339); the latest request by default")
    TrainingParameters.take(parser)


def work(options: argparse.Namespace) -> None:
    """Runs the drift job with the parsed options."""
    since, until = (_moment(name, getattr(options, name)) for name in ("since", "until"))
    parameters, settings = TrainingParameters.parse(options.parameters), PipelineSettings.from_environment()
    job = Job(options.dataset, load_config(options.dataset).name, parameters, settings)
    run(job, since=since, until=until, retrain=not options.no_retrain)


def run(job: Job, *, since: float | None = None, until: float | None = None, retrain: bool = True) -> DriftReport:
    """Measures drift, publishes the report, and starts a retraining if the report requires it.

    Args:
        job: The drift job.
        since: Start of the window, unix seconds; None for the end of the last window.
        until: End of the window, unix seconds; None for the latest request.
        retrain: Whether to react to the report; False only measures.

    Raises:
        KuberecError: Measuring, publishing or reacting failed. A training that ends without a release is not an error;
            the report contains its outcome.
    """
    report = measure_window(job, since, until)
    page = publish(report, job.state, job.settings.build)
    print(describe(report), flush=True)
    try:
        if retrain:
            report = react(report, job)
            publish(report, job.state, job.settings.build)
            assert report.answer is not None
            print(("Retrained: " if report.answer.retrain else "Not retrained: ") + report.answer.sentence)
    finally:
        expose(report, job.state, job.settings.monitoring)
    print(f"The report is {page}.", flush=True)
    return report


def describe(report: DriftReport) -> str:
    """The text of a report: verdict and worst features."""
    span = " to ".join(f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}" for at in (report.start, report.end))
    lines = [f"{span} UTC, {report.num_requests} requests: {report.sentence}"]
    measured = [found for found in report.features if found.psi is not None][:NUM_WORST]
    width = max((len(found.name) for found in measured), default=0)
    lines += [f"  {found.name:{width}}  PSI {found.psi:.3f}  {found.severity}  {found.detail}" for found in measured]
    return "\n".join(lines)


def _moment(name: str, text: str | None) -> float | None:
    """A time from the command line in unix seconds; a time without a zone is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"The option --{name} is {text!r}: write a time such as 2026-01-31T06:00:00Z.") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


main = Command("pipelines.drift", __doc__, work, add_arguments, interrupts=INTERRUPTS, intermixed=True)


if __name__ == "__main__":
    main()
