"""The evaluation steps of a pipeline: measure, ask the gate, and publish the report in the folder of the run."""

from typing import NamedTuple

from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Markdown, Metrics, Model, Output

from components.step import step


@step()
def evaluate_op(
    tables: Input[Dataset],
    features: Input[Dataset],
    stage: Input[Model],
    ranker: Input[Model],
    store: str,
    served_version: str,
    gate: str,
    recipe: str,
    seed: int,
    code_version: str,
    evaluation: Output[Artifact],
    metrics: Output[Metrics],
    curve: Output[ClassificationMetrics],
    report: Output[HTML],
    summary: Output[Markdown],
    protocol: str = "",
) -> NamedTuple("Decided", [("release", str)]):  # type: ignore[valid-type]
    """Measures the recommender and the baselines, and asks the gate.

    Args:
        tables: Clean prepared tables.
        features: Features of the tables.
        stage: Folder of the cutoff `test`.
        ranker: Folder of the ranker.
        store: The dataset's store, which holds the current bundle.
        served_version: Version of the current bundle, "" for none.
        gate: refuse, warn or measure; `measure` releases nothing.
        recipe: fast or best.
        seed: Seed of the bootstrap and of the searches for settings.
        code_version: A cache key.
        evaluation: Directory with evaluation.json, lists and reports.
        metrics: Metrics of every method.
        curve: ROC curve of the first objective on impressions.
        report: The HTML page.
        summary: The table as Markdown.
        protocol: The only protocol to measure; "" for those of a training.
    """
    from pathlib import Path

    from components.evaluation.run import copy_reports, evaluate_funnel
    from components.step_metrics import log_metrics, write_metadata
    from feature_repo.errors import exit_with_sentence
    from inference.bundles.store import BundleStore

    out = Path(evaluation.path)
    folders = Path(tables.path), Path(features.path), Path(stage.path), Path(ranker.path)
    with exit_with_sentence():
        served = BundleStore(store).fetch(served_version) if served_version else None
        only = protocol or None
        done = evaluate_funnel(*folders, out, served=served, mode=gate, protocol=only, recipe=recipe, seed=seed)  # type: ignore[arg-type]
        copy_reports(out, Path(report.path), Path(summary.path))
    log_metrics(metrics, done.numbers())
    if done.curve[0]:
        curve.log_roc_curve(*done.curve)
    write_metadata(curve)
    evaluation.metadata.update({"code_version": code_version, "decision": done.sentence})
    return ("yes" if done.decision and done.decision.release else "no",)


@step()
def publish_report_op(evaluation: Input[Artifact], report_dir: str) -> None:
    """Prints the table and copies metrics and reports to a folder, for every decision of the gate.

    Args:
        evaluation: Output of `evaluate_op`.
        report_dir: The folder, "" for none.
    """
    from pathlib import Path

    from components.evaluation.run import publish
    from feature_repo.errors import exit_with_sentence

    with exit_with_sentence():
        publish(Path(evaluation.path), Path(report_dir) if report_dir else None)


@step()
def leave_one_out_op(
    tables: Input[Dataset],
    code_version: str,
    held_out: Output[Dataset],
    before_targets: Output[Dataset],
    before_validation: Output[Dataset],
) -> None:
    """Holds out every user's last items: for the test, for the validation, and as targets of the ranker.

    Args:
        tables: Clean prepared tables.
        code_version: A cache key.
        held_out: Prepared tables with the table of held-out items.
        before_targets: The tables on the users' clocks that models of the ranker's training rows are fitted on.
        before_validation: The tables on the users' clocks that the measured models are fitted on.
    """
    from pathlib import Path

    from components.evaluation.protocols.leave_one_out import leave_one_out
    from components.evaluation.protocols.user_clock import write_user_clock
    from feature_repo.errors import exit_with_sentence

    with exit_with_sentence():
        numbers = leave_one_out(Path(tables.path), Path(held_out.path))
        write_user_clock(Path(held_out.path), Path(before_targets.path), "rank")
        write_user_clock(Path(held_out.path), Path(before_validation.path), "validation")
    held_out.metadata.update({"code_version": code_version, **numbers})
