"""A small dataset directory and a bundle made of it without fitted models: enough to be served and refreshed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.features import build_features
from components.index.content.neighbours import fit_content_neighbours
from components.index.popular import fit_popularity
from components.index.settings import TableSettings
from components.ingest import ingest
from components.replay.events import Events
from components.validation.rows.checks import check_rows
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.storage.files import write_parquet
from inference.bundles.bundle import Bundle, BundleContent, write_bundle
from inference.bundles.manifest import Facts
from inference.bundles.store import BundleStore
from inference.feature_store import StoreSettings, materialize
from inference.feature_store.historical import HistoricalFeatures
from inference.sources import configured, parts_of
from tests.kit import random_log
from tests.kit.prepared_tables import START

END = START + timedelta(days=random_log.DAYS)
CONFIG = """
name = "shop"
[objectives]
click = ["click"]
convert = ["purchase"]
[events]
negative = ["return"]
[recommend]
repeats = "always"
[split]
validation_days = 7
test_days = 7
[features.items]
numerical = ["weight"]
categorical = ["colour"]
[features.users]
numerical = ["points"]
"""


def write_table(directory: Path, table: str, rows: list[dict[str, Any]]) -> None:
    names = dict.fromkeys(name for row in rows for name in row)
    write_parquet(directory / f"{table}.parquet", pa.table({name: [row.get(name) for row in rows] for name in names}))


def write_dataset(directory: Path, seed: int = 5) -> dict[str, list[dict[str, Any]]]:
    """Writes a dataset without impressions and returns its rows; every item has been in stock all along."""
    rows = random_log.rows(seed)
    rows.pop("impressions")
    rows["items"] = [{**row, "in_stock": True, "regions": None} for row in rows["items"] if "valid_from" not in row]
    directory.mkdir(parents=True)
    (directory / "dataset.toml").write_text(CONFIG)
    for table, content in rows.items():
        write_table(directory, table, content)
    return rows


def clean_tables(dataset: Path, out: Path, log: Path | str = "") -> Path:
    """Clean prepared tables below `out`."""
    ingest(dataset, out / "tables", log=log)
    check_rows(out / "tables", out / "clean", out / "quarantine", out / "page.html")
    return out / "clean"


def release(dataset: Path, out: Path, store: BundleStore, *online: StoreSettings) -> Bundle:
    """Serves a bundle of a dataset: no towers, no ranker, everything else as a release has it."""
    tables = PreparedTables.open(clean_tables(dataset, out))
    features = FeaturesDirectory(out / "features")
    feature_set = build_features(tables.directory, features.path)
    end = tables.split.stamp(tables.split.log_end)
    for place in online:
        materialize(features.path, feature_set, place, end)
    item_ids = features.item_ids()
    events = Events.read(tables, item_ids)
    with HistoricalFeatures(features.path) as reader:
        parts = out / "parts"
        parts.mkdir(parents=True)
        fit_popularity(events, len(item_ids), end, 7.0).save(parts)
        kinds = parts_of(feature_set.sources)
        fitted = TableSettings().fit(kinds, events, len(item_ids), end)
        content = fit_content_neighbours(tables, item_ids, end)
        for part in (*fitted, content, *(kind.fit_from(events, len(item_ids), end) for kind in kinds)):
            if part is not None:
                part.save(parts)
        release_content = BundleContent(
            feature_set=feature_set,
            items=reader.items(end),
            contents=pq.read_table(features.items_static_file),
            parts=parts,
            config=configured(),
        )
    facts = Facts(
        dataset="shop",
        fingerprint=str(tables.description["fingerprint"]),
        code_version="test",
        log_end=tables.split.log_end,
        weights_until=end,
        ranker_until=end,
        features_as_of=end,
    )
    bundle = write_bundle(release_content, out / "bundles", facts)
    store.publish(bundle)
    store.set_current(bundle.version)
    return bundle
