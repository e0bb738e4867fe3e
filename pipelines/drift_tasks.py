"""What the two steps of the drift pipeline do, as plain functions: the job of the command line, cut in two."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from feature_repo.dataset import DatasetConfig
from feature_repo.files import write_text
from monitoring.drift.report import DriftReport
from pipelines.drift import describe
from pipelines.drift_job import measure_window, react
from pipelines.exposition import publish
from pipelines.parameters import TrainingParameters
from pipelines.retraining import Job
from pipelines.settings import PipelineSettings


def measure_task(dataset: str, variables: Mapping[str, str], report_path: str, page_path: str) -> DriftReport:
    """Measure, and write report and page.

    Args:
        dataset: Dataset directory.
        variables: `KUBEREC_*` settings.
        report_path: Receives `drift.json`.
        page_path: Receives the page.

    Raises:
        KuberecError: It could not be measured or told.
    """
    job = _job(dataset, variables, ())
    report = measure_window(job)
    _tell(report, job, page_path)
    print(describe(report), flush=True)
    write_text(report_path, report.model_dump_json())
    return report


def answer_task(
    dataset: str, variables: Mapping[str, str], parameters: Sequence[str], report_path: str, page_path: str
) -> str:
    """Answer a report, and write its page again.

    Args:
        dataset: Dataset directory.
        variables: `KUBEREC_*` settings.
        parameters: Of a retraining.
        report_path: `drift.json`.
        page_path: Receives the page.

    Returns:
        Why a retraining was started, or why not.

    Raises:
        KuberecError: It could not be answered or told.
    """
    job = _job(dataset, variables, parameters)
    report = DriftReport.model_validate_json(Path(report_path).read_bytes())
    answered = react(report, job, tell=lambda told: _tell(told, job, page_path))
    assert answered.answer is not None
    print(answered.answer.sentence, flush=True)
    return answered.answer.sentence


def _job(dataset: str, variables: Mapping[str, str], parameters: Sequence[str]) -> Job:
    settings = PipelineSettings.from_environment({**os.environ, **variables})
    directory = Path(dataset)
    return Job(directory, DatasetConfig.load(directory).name, TrainingParameters.parse(parameters), settings)


def _tell(report: DriftReport, job: Job, page_path: str) -> None:
    page = publish(report, job.state, job.settings.build_dir, job.settings.monitoring)
    shutil.copyfile(page, page_path)
