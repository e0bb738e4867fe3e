"""What the two steps of the drift pipeline do: the job of `pipelines/drift.py`, cut in two.

python -m pipelines.retraining.drift_tasks measure|answer --dataset DIR --variables JSON --report FILE --page FILE

A step is a process of its own: whoever starts a training needs all of kfp, and kfp hides most of itself from the
function that it runs in a step.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from feature_repo.command import Command
from feature_repo.dataset.config import DatasetConfig
from feature_repo.storage.files import write_text
from monitoring.drift.report import DriftReport
from pipelines.definitions.parameters import TrainingParameters
from pipelines.drift import INTERRUPTS, describe
from pipelines.retraining.drift_window import measure_window, react
from pipelines.retraining.ledger_book import Job
from pipelines.retraining.publication import expose, publish
from pipelines.settings import PipelineSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of both steps."""
    parser.add_argument("task", choices=("measure", "answer"), help="which step")
    parser.add_argument("--dataset", required=True, help="dataset directory")
    parser.add_argument("--variables", required=True, type=json.loads, help="KUBEREC_* settings, a JSON object")
    parser.add_argument("--parameters", default="[]", type=json.loads, help="name=value of a retraining, a JSON list")
    parser.add_argument("--report", required=True, type=Path, help="drift.json; `answer` reads it and adds its answer")
    parser.add_argument("--page", required=True, type=Path, help="the report for people")


def work(options: argparse.Namespace) -> None:
    """Runs the step that the options ask for."""
    job = _job(options.dataset, options.variables, options.parameters)
    (measure_task if options.task == "measure" else answer_task)(job, options.report, options.page)


def measure_task(job: Job, report_path: Path, page_path: Path) -> None:
    """Measure.

    Args:
        job: For whom.
        report_path: Receives `drift.json`.
        page_path: Receives the page.

    Raises:
        KuberecError: It could not be measured or told.
    """
    report = measure_window(job)
    _tell(report, job, page_path)
    print(describe(report), flush=True)
    write_text(report_path, report.model_dump_json())


def answer_task(job: Job, report_path: Path, page_path: Path) -> None:
    """Answer a report.

    Args:
        job: For whom.
        report_path: `drift.json`, which receives the answer.
        page_path: Receives the page.

    Raises:
        KuberecError: It could not be answered or told.
    """
    report = DriftReport.model_validate_json(report_path.read_bytes())
    try:
        report = react(report, job)
        _tell(report, job, page_path)
        assert report.answer is not None
        print(report.answer.sentence, flush=True)
        write_text(report_path, report.model_dump_json())
    finally:
        expose(report, job.state, job.settings.monitoring)


def _job(dataset: str, variables: Mapping[str, str], parameters: Sequence[str]) -> Job:
    settings = PipelineSettings.from_environment({**os.environ, **variables})
    directory = Path(dataset)
    return Job(directory, DatasetConfig.load(directory).name, TrainingParameters.parse(parameters), settings)


def _tell(report: DriftReport, job: Job, page_path: Path) -> None:
    shutil.copyfile(publish(report, job.state, job.settings.build), page_path)


main = Command("pipelines.retraining.drift_tasks", __doc__, work, add_arguments, interrupts=INTERRUPTS)


if __name__ == "__main__":
    main()
