"""A shop whose served log can drift: the small world's recommender, released with a reference of its own slates.

Its dataset is the tiny simulated one without a third of its user ids, so that a retraining ends at the data gate within
seconds; nothing here is stubbed, a retraining runs the training pipeline as it is.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from prometheus_client.parser import text_string_to_metric_families

from components.marketplace.config import config_for
from components.marketplace.dataset.directory import make_dataset
from components.release.profile import profile
from feature_repo.dataset.tables import TIMESTAMP
from feature_repo.storage.files import write_json
from inference.bundles.bundle import open_bundle, write_bundle
from inference.bundles.manifest import Facts, Manifest
from inference.bundles.store import BundleStore
from inference.drift.reference import Reference
from inference.drift.watched import counted_tables, effective_requests, num_units, ranked_rows, watched
from inference.log.impressions import impressions_table
from inference.log.layout import HOUR, IMPRESSIONS, hour_folder
from inference.scorers.lightgbm import LightGbmRanker
from inference.scorers.local import LocalScorer
from monitoring.ledger import Ledger, read_ledger
from pipelines.definitions.parameters import TrainingParameters
from pipelines.retraining.ledger_book import Job
from pipelines.settings import PipelineSettings
from tests.kit import world
from tests.kit.bundle_factory import content_of, fit_ranker

NAME = "simulated-tiny"
PRICE = "feature_item_log_price"
NUM_REQUESTS = 600
DEARER = 2.0  # of the logarithm: enough for every decile to move


@dataclass(frozen=True)
class Shop:
    """A released shop.

    Attributes:
        dataset: Dataset directory; its data gate refuses a training.
        build: Build folder with store and log.
        version: The bundle served.
        shown: Ranked rows of 600 requests, as the impression log has them.
    """

    dataset: Path
    build: Path
    version: str
    shown: pa.Table

    @property
    def store(self) -> Path:
        return self.build / "store" / NAME

    @property
    def ledger(self) -> Ledger:
        return read_ledger(self.job().state)

    @property
    def gauges(self) -> dict[str, float]:
        """Gauges that Prometheus reads, by name and outcome."""
        families = text_string_to_metric_families((self.build / "drift" / "recs_drift.prom").read_text())
        samples = [sample for family in families for sample in family.samples]
        return {sample.name + sample.labels.get("outcome", ""): sample.value for sample in samples}

    def environment(self, **changes: str) -> dict[str, str]:
        """Variables of a drift job; steps are not meant to reach TFDV."""
        given = {"KUBEREC_BUILD": str(self.build), "KUBEREC_VALIDATION_PYTHON": sys.executable, **changes}
        return {**{name: value for name, value in os.environ.items() if not name.startswith("KUBEREC_")}, **given}

    def job(self, **changes: str) -> Job:
        settings = PipelineSettings.from_environment(self.environment(**changes))
        return Job(self.dataset, NAME, TrainingParameters(), settings)

    def serve(self, start: float, *, num: int = NUM_REQUESTS, dearer: float = 0.0) -> None:
        """Log a window of requests within an hour, prices of all items raised by so much (in log units)."""
        table = self.shown.filter(pc.less(self.shown["request_id"], f"r{num:04d}"))
        moments = start + np.arange(1, table.num_rows + 1) * (HOUR - 2) / table.num_rows
        changed = {
            PRICE: pc.cast(pc.add(table[PRICE], dearer), pa.float32()),
            "timestamp": pa.array(np.round(moments * 1e6).astype(np.int64)).cast(TIMESTAMP),
            "request_id": pc.binary_join_element_wise(table["request_id"], f"{start:.0f}", "-"),
        }
        for name, values in changed.items():
            table = table.set_column(table.schema.get_field_index(name), name, values)
        hours = (moments // HOUR).astype(np.int64)
        for hour in np.unique(hours).tolist():
            path = self.build / "log" / NAME / IMPRESSIONS / hour_folder(hour) / f"part-{start:.0f}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table.filter(pa.array(hours == hour)), path)


def make_shop(directory: Path) -> Shop:
    """A shop in an empty directory."""
    make_dataset(config_for("tiny", defects={"null_users": 0.3}), directory / "dataset")
    made, ranker = world.artifacts(), fit_ranker(directory / "ranker")
    asked = [world.query(f"u{n % world.NUM_USERS}", request_id=f"r{n:04d}") for n in range(NUM_REQUESTS)]
    recommender = world.recommender(made, LocalScorer(LightGbmRanker.load(ranker, 1)))
    shown = ranked_rows(impressions_table(recommender.recommend(asked), made))
    reference = directory / "reference"
    Reference(
        feature_hash=made.feature_set.hash,
        start=world.NOW - world.DAY,
        end=world.NOW,
        num_requests=(NUM_REQUESTS,),
        num_rows=shown.num_rows,
        num_units=num_units(counted_tables(shown)),
        effective_requests=effective_requests(shown),
        objectives={"click": ("click",), "convert": ("purchase",)},
        columns=profile(
            counted_tables(shown),
            "the log has no slates",
            np.zeros(0, dtype=np.int64),
            watched(made.feature_set),
            np.array([world.NOW - world.DAY]),
        ),
    ).save(reference, shown.slice(0, 100))
    content = content_of(directory, made, ranker=ranker, reference=reference)
    facts = Facts(
        dataset=NAME,
        fingerprint="f" * 64,
        code_version="test",
        log_end=world.NOW,
        weights_until=world.NOW,
        ranker_until=world.NOW,
        features_as_of=world.NOW,
    )
    bundle = write_bundle(content, directory / "bundles", facts)
    shop = Shop(
        directory / "dataset",
        directory / "build",
        bundle.version,
        shown.set_column(
            shown.schema.get_field_index("bundle_version"),
            "bundle_version",
            pa.array([bundle.version] * shown.num_rows),
        ),
    )
    store = BundleStore(str(shop.store))
    store.publish(bundle)
    store.set_current(bundle.version)
    return shop


def hours(number: int) -> float:
    """Begin of the n-th window that is served."""
    return world.NOW + number * HOUR


def release(shop: Shop, cause: str) -> str:
    """Serve another bundle, made like the first but for a later name and a cause."""
    store = BundleStore(str(shop.store))
    path = shop.store / "bundles" / shop.version
    manifest = Manifest.read(path)
    version = f"9{shop.version}"
    made = manifest.model_copy(update={"version": version, "facts": manifest.facts.model_copy(update={"cause": cause})})
    copied = path.with_name(version)
    copied.mkdir()
    for name in manifest.files:
        (copied / name).parent.mkdir(parents=True, exist_ok=True)
        (copied / name).write_bytes((path / name).read_bytes())
    write_json(copied / "manifest.json", made.model_dump())
    assert open_bundle(copied).version == version
    store.set_current(version)
    return version
