"""The refresh pipeline: recomputes the features of the served bundle, without training. Wiring only.

ingest -> row rules -> gate -> features of the served bundle's columns -> online store
"""

from kfp import dsl

from components.features.component import refresh_features_op
from components.ingest.component import ingest_dataset
from components.validation.component import check_rows_op, require_quality_op
from pipelines.definitions.fitting import light, sized

NAME = "kuberec-refresh"


@dsl.pipeline(name=NAME, description="Writes current users and items into the online store of the served bundle.")
def refresh(
    dataset: str,
    store: str,
    fingerprint: str,
    code_version: str,
    log: str = "",
    redis: str = "",
    report_dir: str = "",
    read_at: float = 0.0,
) -> None:
    """Refreshes the online store.

    No step is cached, because the rows change between runs.

    Args:
        dataset: Dataset directory.
        store: The dataset's serving store.
        fingerprint: Content hash of dataset and log.
        code_version: Version of the code.
        log: Directory or URL of the servers' log, "" for none.
        redis: Address of a Redis online store without its password, "" for SQLite in the store.
        report_dir: Local folder that receives the quality report and refresh.json, "" for none.
        read_at: When the dataset was read, unix seconds; of overlapping runs the newest data counts. 0 for the time of
            the last step.
    """
    ingested = sized(
        ingest_dataset(dataset=dataset, log=log, fingerprint=fingerprint, code_version=code_version), memory="2G"
    )
    checked = sized(check_rows_op(tables=ingested.outputs["tables"], code_version=code_version), memory="4G")
    quality = require_quality_op(
        quarantine=checked.outputs["quarantine"], report=checked.outputs["report"], report_dir=report_dir
    )
    refreshed = refresh_features_op(
        tables=checked.outputs["clean"], store=store, redis=redis, code_version=code_version, report_dir=report_dir,
        read_at=read_at,
    )  # fmt: skip
    for task in (ingested, checked, light(quality), sized(refreshed, memory="4G").after(quality)):
        task.set_caching_options(False)
