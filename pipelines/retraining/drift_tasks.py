"""The two steps of the drift pipeline, which together do the work of `pipelines/drift.py`.

python -m pipelines.retraining.drift_tasks measure|answer --dataset DIR --variables JSON --report FILE --page FILE

Each step runs this module in a separate process (`pipelines/definitions/step_process.py`): starting a training needs
all of kfp, and most of kfp is unavailable inside the function of a step.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from feature_repo.command import Command
from feature_repo.dataset.place import dataset_place, load_config
from feature_repo.storage.files import write_text
from monitoring.drift.report import DriftReport
from pipelines.definitions.parameters import TrainingParameters
from pipelines.drift import INTERRUPTS, describe
from pipelines.retraining.drift_window import measure_window, react
from pipelines.retraining.ledger_book import Job
from pipelines.retraining.publication import expose, publish
from pipelines.settings import PipelineSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of both steps."""
    parser.add_argument("task", choices=("measure", "answer"), help="the step to run")
    parser.add_argument("--dataset", required=True, help="dataset directory or URL")
    parser.add_argument("--variables", required=True, type=json.loads, help="KUBEREC_* settings, a JSON object")
    parser.add_argument(
        "--parameters", default="[]", type=json.loads, help="parameters of a retraining as name=value, a JSON list"
    )
    parser.add_argument("--report", required=True, type=Path, help="drift.json; `answer` reads it and adds the answer")
    parser.add_argument("--page", required=True, type=Path, help="HTML page of the report")


def work(options: argparse.Namespace) -> None:
    """Runs the chosen step."""
    job = _job(options.dataset, options.variables, options.parameters)
    (measure_task if options.task == "measure" else answer_task)(job, options.report, options.page)


def measure_task(job: Job, report_path: Path, page_path: Path) -> None:
    """Measures the next window and publishes the report.

    Args:
        job: The drift job.
        report_path: Receives `drift.json`.
        page_path: Receives the page.

    Raises:
        KuberecError: Measuring or publishing failed.
    """
    report = measure_window(job)
    _publish_page(report, job, page_path)
    print(describe(report), flush=True)
    write_text(report_path, report.model_dump_json())


def answer_task(job: Job, report_path: Path, page_path: Path) -> None:
    """Reacts to a report and publishes it with the answer.

    Args:
        job: The drift job.
        report_path: `drift.json`; the answer is added to it.
        page_path: Receives the page.

    Raises:
        KuberecError: Reacting or publishing failed.
    """
    report = DriftReport.model_validate_json(report_path.read_bytes())
    try:
        report = react(report, job)
        _publish_page(report, job, page_path)
        assert report.answer is not None
        print(report.answer.sentence, flush=True)
        write_text(report_path, report.model_dump_json())
    finally:
        expose(report, job.state, job.settings.monitoring)


def _job(dataset: str, variables: Mapping[str, str], parameters: Sequence[str]) -> Job:
    settings = PipelineSettings.from_environment({**os.environ, **variables})
    place = dataset_place(dataset)
    return Job(place, load_config(place).name, TrainingParameters.parse(parameters), settings)


def _publish_page(report: DriftReport, job: Job, page_path: Path) -> None:
    shutil.copyfile(publish(report, job.state, job.settings.build), page_path)


main = Command("pipelines.retraining.drift_tasks", __doc__, work, add_arguments, interrupts=INTERRUPTS)


if __name__ == "__main__":
    main()
