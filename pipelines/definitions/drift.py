"""The drift pipeline: measure a window in one task, answer it in the next. Wiring only.

Steps in a cluster do not see the variables of whoever submits them: `variables` brings along the settings they need.
"""

from typing import Any

from kfp import dsl
from kfp.dsl import HTML, Artifact, Input, Metrics, Output

from components.step import step
from pipelines.definitions.fitting import sized

NAME = "kuberec-drift"


@step()
def measure_drift_op(
    dataset: str,
    variables: dict[str, str],
    code_version: str,
    report: Output[Artifact],
    page: Output[HTML],
    metrics: Output[Metrics],
) -> str:
    """Measures the window since the last one and publishes the report.

    Args:
        dataset: Dataset directory.
        variables: `KUBEREC_*` settings.
        code_version: Of the code that measured.
        report: `drift.json`.
        page: The report for people.
        metrics: PSI of what was compared.

    Returns:
        The verdict.
    """
    import json

    from components.step_metrics import log_metrics
    from feature_repo.storage.files import read_json
    from pipelines.definitions.step_process import run_module

    given = ("--dataset", dataset, "--variables", json.dumps(variables))
    run_module("pipelines.retraining.drift_tasks", "measure", *given, "--report", report.path, "--page", page.path)
    found = read_json(report.path)
    report.metadata.update({"code_version": code_version, "sentence": found["sentence"]})
    measured = {f"psi {one['name']}": one["psi"] for one in found["features"] if one["psi"] is not None}
    log_metrics(metrics, {"requests": found["num_requests"], **measured})
    return str(found["verdict"])


@step()
def answer_drift_op(
    dataset: str,
    variables: dict[str, str],
    parameters: list[str],
    measured: Input[Artifact],
    report: Output[Artifact],
    page: Output[HTML],
) -> str:
    """Starts the retraining that a report asks for, or says why not, and publishes the report again.

    Args:
        dataset: Dataset directory.
        variables: `KUBEREC_*` settings.
        parameters: Of a retraining, each `name=value`.
        measured: `drift.json`.
        report: The same with what was done.
        page: The report for people, with what was done.

    Returns:
        What was done, and why.
    """
    import json
    import shutil

    from feature_repo.storage.files import read_json
    from pipelines.definitions.step_process import run_module

    shutil.copyfile(measured.path, report.path)
    given = ("--dataset", dataset, "--variables", json.dumps(variables), "--parameters", json.dumps(parameters))
    run_module("pipelines.retraining.drift_tasks", "answer", *given, "--report", report.path, "--page", page.path)
    return str(read_json(report.path)["answer"]["sentence"])


@dsl.pipeline(name=NAME, description="What was served beside the reference of its bundle, and a retraining on drift.")
def drift(
    dataset: str,
    variables: dict[str, str],
    code_version: str,
    parameters: list[str] = [],  # noqa: B006 - kfp wants the default as it is
) -> None:
    """Measure drift and answer it.

    Args:
        dataset: Dataset directory.
        variables: `KUBEREC_*` settings.
        code_version: Version of the code.
        parameters: Of a retraining, each `name=value`.
    """
    measured: Any = measure_drift_op(dataset=dataset, variables=variables, code_version=code_version)
    answered: Any = answer_drift_op(
        dataset=dataset, variables=variables, parameters=parameters, measured=measured.outputs["report"]
    )
    # A log grows and a ledger is written: both run every time.
    for task in (sized(measured, memory="4G"), sized(answered, memory="1G")):
        task.set_caching_options(False)
