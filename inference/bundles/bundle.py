"""The bundle: everything one release serves with, in one immutable directory.

    manifest.json                files with checksums, see `manifest.py`
    feature_set.json             names, order and codes
    item_ids.parquet             the row map
    contents.parquet             titles and the like
    items.npz                    first snapshot of what moves
    recommender.json             quotas, weights, words
    neighbours.npz  popularity.npz
    towers/                      user tower (ONNX), item tower, item embeddings       } where towers
    index/                       item index                                           } were fitted
    ranker/                      LightGBM text and calibration                        where a ranker was fitted
    reference/                   what drift is measured against                       where there is one

It refuses to open a bundle whose checksums or feature hash do not hold, and knows no pickles.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.errors import BundleError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import ItemColumns
from feature_repo.storage.files import sync_directory, write_json, write_parquet
from inference.bundles.manifest import MANIFEST_FILE, Facts, Manifest, describe, list_files, new_version
from inference.models.artifacts import Artifacts, RecommenderConfig
from inference.models.contents import Contents
from inference.models.neighbours import Neighbours
from inference.models.popularity import Popularity
from inference.models.snapshot import load_item_ids, load_items, save_item_ids, save_items
from inference.scorers.protocol import Ranker

FEATURE_SET = "feature_set.json"
ITEM_IDS = "item_ids.parquet"
CONTENTS = "contents.parquet"
ITEMS = "items.npz"
RECOMMENDER = "recommender.json"
NEIGHBOURS = "neighbours.npz"
POPULARITY = "popularity.npz"
TOWERS, INDEX, RANKER, REFERENCE = "towers", "index", "ranker", "reference"
REFUSED_SECONDS = 60.0  # until a bundle that could not be opened is tried again: the store may have been away


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: its manifest has been read and its files verified; models are loaded on demand.

    Attributes:
        path: Its directory.
        manifest: What it says of itself.
        feature_set: Its feature set.
    """

    path: Path
    manifest: Manifest
    feature_set: FeatureSet

    @property
    def version(self) -> str:
        """Its name."""
        return self.manifest.version

    def artifacts(self, num_threads: int = 1) -> Artifacts:
        """What the recommender reads, with the bundle's own snapshot of the catalogue; no ranker, no torch.

        Raises:
            BundleError: If a part cannot be read.
        """
        item_ids = load_item_ids(self.path / ITEM_IDS)
        has_towers = (self.path / TOWERS).is_dir()
        encoder = index = None
        if has_towers:
            # faiss and onnxruntime are of the serving extra, the predictor has neither.
            from inference.models.encoder import UserEncoder
            from inference.models.index import ItemIndex

            encoder = UserEncoder.load(self.path / TOWERS, num_threads)
            index = ItemIndex.load(self.path / INDEX)
            if len(index) != len(item_ids) or len(encoder.item_embeddings) != len(item_ids):
                raise BundleError(f"The towers, the index and the row map of bundle {self.version} differ in size.")
        try:
            config = RecommenderConfig.model_validate_json((self.path / RECOMMENDER).read_text(encoding="utf-8"))
            contents = Contents.from_table(pq.read_table(self.path / CONTENTS), item_ids)
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise BundleError(f"The bundle {self.version} cannot be read: {error}") from error
        return Artifacts(
            version=self.version,
            feature_set=self.feature_set,
            items=load_items(self.path / ITEMS, item_ids, self.feature_set),
            contents=contents,
            neighbours=Neighbours.load(self.path / NEIGHBOURS),
            popularity=Popularity.load(self.path / POPULARITY),
            encoder=encoder,
            index=index,
            embeddings=None if encoder is None else encoder.item_embeddings,
            config=config,
        )

    def ranker(self, num_threads: int = 1) -> Ranker:
        """The ranker of the bundle.

        Raises:
            BundleError: If the bundle has none, or it cannot be read.
        """
        if not (self.path / RANKER).is_dir():
            raise BundleError(f"The bundle {self.version} has no ranker.")
        from inference.scorers.lightgbm import RankerModel  # of the predictor's extra

        return RankerModel.load(self.path / RANKER, num_threads=num_threads)


@dataclass(frozen=True)
class Parts:
    """What a bundle is made of, as the steps of training left it.

    Attributes:
        feature_set: Its hash is the manifest's.
        items: The catalogue as of the release; its ids are the row map.
        contents: Table with `item_id` and what is shown of items.
        neighbours, popularity: As of the release.
        config: How the recommender merges.
        towers, index, ranker, reference: Directories to copy, None where there is none.
    """

    feature_set: FeatureSet
    items: ItemColumns
    contents: pa.Table
    neighbours: Neighbours
    popularity: Popularity
    config: RecommenderConfig
    towers: Path | None = None
    index: Path | None = None
    ranker: Path | None = None
    reference: Path | None = None


def write_bundle(parts: Parts, out_dir: Path, facts: Facts) -> Bundle:
    """Makes a bundle below `out_dir`, complete on disk or not at all.

    Args:
        parts: What it holds.
        out_dir: Receives the directory `<version>`.
        facts: What the manifest says beside the files.

    Raises:
        BundleError: If the parts do not fit together.
    """
    if (parts.towers is None) != (parts.index is None):
        raise BundleError("A bundle has both towers and index, or neither.")
    out_dir.mkdir(parents=True, exist_ok=True)
    building = out_dir / f".building-{os.getpid()}"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        parts.feature_set.save(building / FEATURE_SET)
        save_item_ids(building / ITEM_IDS, parts.items.item_ids)
        write_parquet(building / CONTENTS, Contents.from_table(parts.contents, parts.items.item_ids).to_table())
        save_items(building / ITEMS, parts.items)
        write_json(building / RECOMMENDER, parts.config.model_dump(mode="json"))
        parts.neighbours.save(building / NEIGHBOURS)
        parts.popularity.save(building / POPULARITY)
        folders = {TOWERS: parts.towers, INDEX: parts.index, RANKER: parts.ranker, REFERENCE: parts.reference}
        for name, source in folders.items():
            if source is not None:
                shutil.copytree(source, building / name, ignore=shutil.ignore_patterns(".*"))
        files = describe(building)
        manifest = Manifest(
            version=new_version(files),
            created_at=_now(),
            feature_set_hash=parts.feature_set.hash,
            num_items=len(parts.items),
            facts=facts,
            files=files,
        )
        write_json(building / MANIFEST_FILE, manifest.model_dump(mode="json"))
        sync_tree(building)
        final = out_dir / manifest.version
        building.rename(final)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return open_bundle(final)


def open_bundle(path: Path, *, verify: bool = True) -> Bundle:
    """Opens a bundle.

    Args:
        path: Its directory.
        verify: Compare checksums; False only where they were compared just now.

    Raises:
        BundleError: If a file is missing or changed, or the feature set is not the one the manifest names.
    """
    manifest = Manifest.read(path)
    if verify:
        manifest.verify(path)
    feature_set = FeatureSet.load(path / FEATURE_SET)
    if feature_set.hash != manifest.feature_set_hash:
        raise BundleError(
            f"The bundle {manifest.version} was made for feature set {manifest.feature_set_hash}, its file reads as "
            f"{feature_set.hash}: serve it with the code that made it."
        )
    towers_set = path / TOWERS / FEATURE_SET
    if towers_set.is_file() and FeatureSet.load(towers_set).hash != feature_set.hash:
        raise BundleError(f"The towers of bundle {manifest.version} were fitted for another feature set.")
    return Bundle(path, manifest, feature_set)


def sync_tree(directory: Path) -> None:
    """Flushes every file below a directory, and the directories, to disk."""
    folders = {directory, directory.parent}
    for name in list_files(directory):
        path = directory / name
        folders.add(path.parent)
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
    for folder in folders:
        sync_directory(folder)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
