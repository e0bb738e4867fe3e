"""The training pipeline: from a dataset directory to a released bundle. Wiring only.

ingest -> row rules -> gate -> TFDV statistics -> gate -> features -> towers and cutoffs -> ranker -> evaluation
       -> release, or refusal by the gate
"""

from typing import Any

from kfp import dsl

from components.evaluation.component import evaluate_op, publish_report_op
from components.features.component import build_feature_snapshots
from components.index.component import build_stage_op
from components.ingest.component import ingest_dataset
from components.release.component import reference_op, refuse_op, release_op
from components.retrieval.component import fit_towers_op
from components.validation.component import check_rows_op, require_quality_op, require_schema_op, statistics_op
from pipelines.definitions.fitting import fit, light, sized

NAME = "kuberec-training"


def _never_cached(*tasks: dsl.PipelineTask) -> None:
    """Disables caching: gates copy reports and a release changes a store, so they must run every time."""
    for task in tasks:
        task.set_caching_options(False)


@dsl.pipeline(name=NAME, description="From a validated log to towers, index, ranker and one immutable release.")
def training(
    dataset: str,
    store: str,
    fingerprint: str,
    code_version: str,
    schema_version: str = "",
    served_version: str = "",
    report_dir: str = "",
    redis: str = "",
    read_at: float = 0.0,
    log: str = "",
    cause: str = "",
    gate: str = "refuse",
    refit: bool = False,
    ranker_rows: int = 1_000_000,
    reference_days: int = 7,
    recipe: str = "fast",
    seed: int = 0,
) -> None:
    """Trains, evaluates and releases.

    Args:
        dataset: Dataset directory.
        store: The dataset's serving store.
        fingerprint: Content hash of dataset and log; a cache key.
        code_version: Version of the code; a cache key.
        schema_version: Version of the stored TFDV schemas at the start of the run; a cache key.
        served_version: Version of the served bundle at the start of the run, compared with the new bundle; "" for none.
        report_dir: Local folder that receives copies of reports and figures, "" for none.
        redis: Address of a Redis online store without its password, "" for SQLite in the store.
        read_at: When the dataset was read, unix seconds; of overlapping runs the newest data counts. 0 for the time of
            the last step.
        log: Directory or URL of the servers' log, "" for none; training uses it like the dataset.
        cause: Why drift started the run, "" for other runs; stored in the bundle's manifest.
        gate: refuse or warn, see `TrainingParameters`.
        refit: Whether to train the towers further on the log up to its end after the evaluation.
        ranker_rows: Upper bound on the training rows of the ranker.
        reference_days: Number of last days of the log that are replayed as the reference of drift.
        recipe: fast or best.
        seed: Seed of all random choices.
    """
    ingested = sized(
        ingest_dataset(dataset=dataset, log=log, fingerprint=fingerprint, code_version=code_version), memory="2G"
    )
    checked = sized(check_rows_op(tables=ingested.outputs["tables"], code_version=code_version), memory="4G")
    quality = require_quality_op(
        quarantine=checked.outputs["quarantine"], report=checked.outputs["report"], report_dir=report_dir
    )
    clean = checked.outputs["clean"]
    statistics = sized(
        statistics_op(clean=clean, store=store, schema_version=schema_version, code_version=code_version), memory="4G"
    ).after(quality)
    schema = require_schema_op(
        statistics=statistics.outputs["statistics"], report=statistics.outputs["report"], report_dir=report_dir
    )
    built = sized(build_feature_snapshots(tables=clean, code_version=code_version), memory="4G").after(schema)
    features = built.outputs["features"]
    keys = {"recipe": recipe, "seed": seed, "code_version": code_version}
    tables = {"tables": clean, "features": features}
    fitted = fit(clean, features, ranker_rows, recipe, seed, code_version, log=log)
    ranker = fitted.ranker
    evaluation = evaluate_op(
        **tables, stage=fitted.cutoff, ranker=ranker, store=store, served_version=served_version, gate=gate,
        **keys,
    )  # fmt: skip
    evaluated = sized(evaluation, memory="4G")
    publish = publish_report_op(evaluation=evaluated.outputs["evaluation"], report_dir=report_dir)
    _never_cached(light(quality), light(schema), light(publish))

    def release(towers: Any, *, refitted: bool) -> None:
        final = build_stage_op(**tables, towers=towers, earlier=fitted.cutoff, stage="final", code_version=code_version)
        cutoff = sized(final, memory="2G").outputs["built"]
        replayed = reference_op(
            **tables, stage=cutoff, ranker=ranker, days=reference_days, seed=seed, code_version=code_version
        )
        reference = sized(replayed, memory="4G").outputs["reference"]
        released = release_op(
            **tables, stage=cutoff, ranker=ranker, reference=reference, evaluation=evaluated.outputs["evaluation"],
            store=store, redis=redis, refitted=refitted, cause=cause, reference_days=reference_days,
            code_version=code_version, read_at=read_at,
        )  # fmt: skip
        _never_cached(sized(released, memory="4G").after(publish))

    with dsl.If(evaluated.outputs["release"] == "yes", name="released"):
        with dsl.If(refit == True, name="refitted"):  # noqa: E712 - kfp compiles the comparison
            further = fit_towers_op(**tables, before=fitted.towers, stage="final", **keys)
            release(sized(further, memory="4G").outputs["towers"], refitted=True)
        with dsl.Else(name="measured"):
            release(fitted.towers, refitted=False)
    with dsl.Else(name="refused"):
        _never_cached(light(refuse_op(evaluation=evaluated.outputs["evaluation"])).after(publish))
