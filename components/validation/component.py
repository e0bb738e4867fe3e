"""The data checks of a pipeline: two reports, each followed by a gate that may stop the run.

The steps are thin wrappers. The statistics run in a separate image (TFDV), so this module also loads under the kfp
2.13 of that image.
"""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output

from components.step import VALIDATION_IMAGE, step


@step()
def check_rows_op(
    tables: Input[Dataset],
    code_version: str,
    clean: Output[Dataset],
    quarantine: Output[Dataset],
    report: Output[HTML],
    metrics: Output[Metrics],
) -> None:
    """Separates clean rows from the other rows, which get a reason.

    Args:
        tables: Prepared tables as ingest wrote them.
        code_version: A cache key.
        clean: Prepared tables with the clean rows only.
        quarantine: A Parquet file per table with all other rows, and report.json.
        report: The HTML page.
        metrics: Quality rate and counts.
    """
    from components.step_metrics import log_metrics
    from components.validation.rows.checks import check_rows
    from feature_repo.errors import exit_with_sentence

    with exit_with_sentence():
        result = check_rows(tables.path, clean.path, quarantine.path, report.path)
    log_metrics(metrics, result.metrics())
    clean.metadata.update({"code_version": code_version, "quality_rate": result.rate})


@step()
def require_quality_op(quarantine: Input[Dataset], report: Input[HTML], report_dir: str = "") -> None:
    """Stops the run if too few interactions are clean.

    Args:
        quarantine: Directory with report.json.
        report: The HTML page, named in the error.
        report_dir: Receives a copy of the page as quality.html, which the error then names; "" for no copy.
    """
    from components.validation.gate import hand_over, require_quality
    from feature_repo.errors import exit_with_sentence

    with exit_with_sentence():
        require_quality(quarantine.path, hand_over(report.path, report_dir, "quality.html"))


@step(VALIDATION_IMAGE)
def statistics_op(
    clean: Input[Dataset],
    store: str,
    schema_version: str,
    code_version: str,
    statistics: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
) -> None:
    """Computes statistics of every table with TFDV and compares them with the schema kept in the store.

    Args:
        clean: Clean prepared tables.
        store: The dataset's store; its folder `schema/` keeps the schemas.
        schema_version: `schema.schema_version(store)` at the start of the run; a cache key.
        code_version: A cache key.
        statistics: Directory with statistics.json.
        report: The HTML page.
        metrics: Numbers of anomalies and of drifted columns.
    """
    import json
    import os
    from pathlib import Path

    from components.step_metrics import log_metrics
    from components.validation.environment import compute_statistics
    from feature_repo.errors import exit_with_sentence

    with exit_with_sentence():
        python = os.environ.get("KUBEREC_VALIDATION_PYTHON", "")
        compute_statistics(clean.path, statistics.path, store, report.path, python)
    content = json.loads((Path(statistics.path) / "statistics.json").read_text())
    numbers = {
        "num_anomalies": sum(found["severity"] == "error" for found in content["anomalies"]),
        "num_drifted_columns": sum(one["drifted"] for one in content["drift"]),
    }
    log_metrics(metrics, numbers)
    statistics.metadata.update({"schema_version": schema_version, "code_version": code_version})


@step()
def require_schema_op(statistics: Input[Artifact], report: Input[HTML], report_dir: str = "") -> None:
    """Stops the run if the data no longer fit the kept schema.

    Args:
        statistics: Directory with statistics.json.
        report: The HTML page, named in the error.
        report_dir: Receives a copy of the page as statistics.html, which the error then names; "" for no copy.
    """
    from components.validation.gate import hand_over, require_schema
    from feature_repo.errors import exit_with_sentence

    with exit_with_sentence():
        require_schema(statistics.path, hand_over(report.path, report_dir, "statistics.html"))
