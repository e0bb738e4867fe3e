"""The drift pipeline: one task measures a window, the next reacts to the report. Wiring only.

Steps in a cluster do not inherit the environment of the submitting process, so `variables` passes the settings.
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
    """Measures the window since the last window and publishes the report.

    Args:
        dataset: Dataset directory.
        variables: `KUBEREC_*` settings.
        code_version: Version of the code that measured.
        report: `drift.json`.
        page: The report for people.
        metrics: Number of requests, and PSI of the compared columns.

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
    """Starts a retraining if the report requires it, and publishes the report with the answer.

    Args:
        dataset: Dataset directory.
        variables: `KUBEREC_*` settings.
        parameters: Parameters of a retraining, each `name=value`.
        measured: `drift.json`.
        report: `drift.json` with the answer.
        page: The report for people, with the answer.

    Returns:
        The answer in one sentence.
    """
    import json
    import shutil

    from feature_repo.storage.files import read_json
    from pipelines.definitions.step_process import run_module

    shutil.copyfile(measured.path, report.path)
    given = ("--dataset", dataset, "--variables", json.dumps(variables), "--parameters", json.dumps(parameters))
    run_module("pipelines.retraining.drift_tasks", "answer", *given, "--report", report.path, "--page", page.path)
    return str(read_json(report.path)["answer"]["sentence"])


@dsl.pipeline(name=NAME, description="Compares the log with the bundle's reference; retrains on drift.")
def drift(
    dataset: str,
    variables: dict[str, str],
    code_version: str,
    parameters: list[str] = [],  # noqa: B006 - kfp copies the default into the definition
) -> None:
    """Measures drift and reacts to it.

    Args:
        dataset: Dataset directory.
        variables: `KUBEREC_*` settings.
        code_version: Version of the code.
        parameters: Parameters of a retraining, each `name=value`.
    """
    measured: Any = measure_drift_op(dataset=dataset, variables=variables, code_version=code_version)
    answered: Any = answer_drift_op(
        dataset=dataset, variables=variables, parameters=parameters, measured=measured.outputs["report"]
    )
    # Never cached: the log grows between runs, and the second step writes the ledger.
    for task in (sized(measured, memory="4G"), sized(answered, memory="1G")):
        task.set_caching_options(False)
