"""The evaluation pipelines: compare the recommender with the baselines, without a release. Wiring only."""

from typing import Any

from kfp import dsl

from components.evaluation.component import evaluate_op, leave_one_out_op, publish_report_op
from components.features.component import build_feature_snapshots
from components.ingest.component import ingest_dataset
from components.validation.component import check_rows_op
from pipelines.definitions.fitting import fit, light, sized

RANKER_ROWS = 1_000_000


def _clean(dataset: Any, fingerprint: Any, code_version: Any) -> Any:
    """Wires the steps that make the clean tables of a dataset."""
    ingested = sized(ingest_dataset(dataset=dataset, fingerprint=fingerprint, code_version=code_version), memory="2G")
    checked = check_rows_op(tables=ingested.outputs["tables"], code_version=code_version)
    return sized(checked, memory="4G").outputs["clean"]


def _measure(
    tables: Any,
    protocol: str,
    code_version: Any,
    report_dir: Any,
    recipe: Any,
    seed: Any,
    *,
    cutoff: str = "test",
    **fitted_on: Any,
) -> None:
    """Wires the steps for features, models and figures; `fitted_on` names the tables of the models, see `fit`."""
    built = build_feature_snapshots(tables=tables, code_version=code_version)
    features = sized(built, memory="4G").outputs["features"]
    fitted = fit(tables, features, RANKER_ROWS, recipe, seed, code_version, measured=cutoff, **fitted_on)
    evaluation = evaluate_op(
        tables=tables,
        features=features,
        stage=fitted.cutoff,
        ranker=fitted.ranker,
        store="",
        served_version="",
        gate="measure",
        protocol=protocol,
        recipe=recipe,
        seed=seed,
        code_version=code_version,
    )
    evaluated = sized(evaluation, memory="4G")
    publish = publish_report_op(evaluation=evaluated.outputs["evaluation"], report_dir=report_dir)
    light(publish).set_caching_options(False)


@dsl.pipeline(name="kuberec-evaluation-temporal", description="Figures of the temporal protocol.")
def temporal(
    dataset: str, fingerprint: str, code_version: str, report_dir: str = "", recipe: str = "fast", seed: int = 0
) -> None:
    """Evaluates by time, with one query per user at the test start.

    Args:
        dataset: Dataset directory.
        fingerprint: Content hash of the dataset; a cache key.
        code_version: Version of the code; a cache key.
        report_dir: Local folder that receives figures and reports, "" for none.
        recipe: fast or best.
        seed: Seed of all random choices.
    """
    _measure(_clean(dataset, fingerprint, code_version), "temporal", code_version, report_dir, recipe, seed)


@dsl.pipeline(name="kuberec-evaluation-rolling", description="Figures of the rolling protocol.")
def rolling(
    dataset: str, fingerprint: str, code_version: str, report_dir: str = "", recipe: str = "fast", seed: int = 0
) -> None:
    """Evaluates as served: the requests of the test span at their own times.

    Args:
        dataset: Dataset directory.
        fingerprint: Content hash of the dataset; a cache key.
        code_version: Version of the code; a cache key.
        report_dir: Local folder that receives figures and reports, "" for none.
        recipe: fast or best.
        seed: Seed of all random choices.
    """
    clean = _clean(dataset, fingerprint, code_version)
    _measure(clean, "rolling", code_version, report_dir, recipe, seed)


@dsl.pipeline(name="kuberec-evaluation-leave-one-out", description="Figures of the leave-one-out protocol.")
def leave_one_out(
    dataset: str, fingerprint: str, code_version: str, report_dir: str = "", recipe: str = "fast", seed: int = 0
) -> None:
    """Evaluates on the last item of every user.

    Args:
        dataset: Dataset directory.
        fingerprint: Content hash of the dataset; a cache key.
        code_version: Version of the code; a cache key.
        report_dir: Local folder that receives figures and reports, "" for none.
        recipe: fast or best.
        seed: Seed of all random choices.
    """
    clean = _clean(dataset, fingerprint, code_version)
    held_out = sized(leave_one_out_op(tables=clean, code_version=code_version), memory="4G")
    _measure(
        held_out.outputs["held_out"],
        "leave-one-out",
        code_version,
        report_dir,
        recipe,
        seed,
        cutoff="validation",
        early_tables=held_out.outputs["before_targets"],
        late_tables=held_out.outputs["before_validation"],
    )
