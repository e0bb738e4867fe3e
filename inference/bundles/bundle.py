"""The bundle: all files of one release, in one immutable directory.

    manifest.json                files with checksums, see `manifest.py`
    feature_set.json             names, order and codes
    item_ids.parquet             the row map
    contents.parquet             titles and other display columns
    items.npz                    first snapshot of prices, stock and counts
    recommender.json             quotas, weights, words
    <parts of the sources>       neighbours.npz, popularity.npz, towers/, index/: `Part.paths` of `inference/sources`
    ranker/                      `ranker.json` names its kind; only if a ranker was fitted
    reference/                   the reference of the drift job; optional

A bundle with a wrong checksum or feature hash is not opened. No file is a pickle.
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
from feature_repo.storage.files import sync_tree, write_json, write_parquet
from inference.bundles.manifest import MANIFEST_FILE, Facts, Manifest, describe, new_version
from inference.bundles.parts import load_parts, part_paths
from inference.models.artifacts import Artifacts
from inference.models.config import RecommenderConfig
from inference.models.contents import Contents
from inference.models.snapshot import load_item_ids, load_items, save_item_ids, save_items
from inference.scorers.protocol import Ranker
from inference.scorers.ranker import open_ranker

FEATURE_SET = "feature_set.json"
ITEM_IDS = "item_ids.parquet"
CONTENTS = "contents.parquet"
ITEMS = "items.npz"
RECOMMENDER = "recommender.json"
RANKER, REFERENCE = "ranker", "reference"
TOWERS_FEATURE_SET = Path("towers") / FEATURE_SET
BUNDLE_RETRY_SECONDS = 60.0  # until a failed bundle is opened again: the store may have been unreachable


@dataclass(frozen=True)
class Bundle:
    """An opened bundle, with its manifest read and its files verified. Models are loaded on demand.

    Attributes:
        path: Directory of the bundle.
        manifest: The manifest.
        feature_set: The feature set.
    """

    path: Path
    manifest: Manifest
    feature_set: FeatureSet

    @property
    def version(self) -> str:
        """Name of the bundle."""
        return self.manifest.version

    def artifacts(self, num_threads: int = 1) -> Artifacts:
        """Loads the data of the recommender, with the bundle's snapshot of the catalogue; without ranker and torch.

        Raises:
            BundleError: If a part cannot be read.
        """
        item_ids = load_item_ids(self.path / ITEM_IDS)
        parts = load_parts(self.path, self.feature_set.sources, num_threads)
        for part in parts.values():
            if part.num_items != len(item_ids):
                paths = " and ".join(part.paths)
                raise BundleError(f"The {paths} of bundle {self.version} and its row map differ in size: train again.")
        try:
            config = RecommenderConfig.model_validate_json((self.path / RECOMMENDER).read_text(encoding="utf-8"))
            contents = Contents.from_table(pq.read_table(self.path / CONTENTS), item_ids)
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise BundleError(f"The bundle {self.version} cannot be read: {error}.") from error
        return Artifacts(
            version=self.version,
            feature_set=self.feature_set,
            items=load_items(self.path / ITEMS, item_ids, self.feature_set),
            contents=contents,
            parts=parts,
            config=config,
        )

    def ranker(self, num_threads: int = 1) -> Ranker:
        """Loads the ranker of the bundle.

        Raises:
            BundleError: If the bundle has no ranker, or the ranker cannot be read.
        """
        if not (self.path / RANKER).is_dir():
            raise BundleError(f"The bundle {self.version} has no ranker: train again.")
        return open_ranker(self.path / RANKER, num_threads)


@dataclass(frozen=True)
class BundleContent:
    """The content of a new bundle, from the outputs of training.

    Attributes:
        feature_set: The feature set; the manifest records its hash.
        items: The catalogue as of the release; its ids are the row map.
        contents: Table with `item_id` and the display columns.
        config: Settings of the recommender.
        parts: Folder with the parts of the sources as of the release; its files are copied.
        ranker, reference: Folders to copy, None if there is none.
    """

    feature_set: FeatureSet
    items: ItemColumns
    contents: pa.Table
    config: RecommenderConfig
    parts: Path
    ranker: Path | None = None
    reference: Path | None = None


def write_bundle(content: BundleContent, out_dir: Path, facts: Facts) -> Bundle:
    """Writes a bundle below `out_dir` atomically.

    Args:
        content: The content of the bundle.
        out_dir: Folder in which the directory `<version>` is created.
        facts: The facts for the manifest.

    Raises:
        BundleError: A part of a source is missing or incomplete.
    """
    paths = part_paths(content.parts, content.feature_set.sources)
    out_dir.mkdir(parents=True, exist_ok=True)
    building = out_dir / f".building-{os.getpid()}"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        content.feature_set.save(building / FEATURE_SET)
        save_item_ids(building / ITEM_IDS, content.items.item_ids)
        write_parquet(building / CONTENTS, Contents.from_table(content.contents, content.items.item_ids).to_table())
        save_items(building / ITEMS, content.items)
        write_json(building / RECOMMENDER, content.config.model_dump(mode="json"))
        copied: dict[str, Path | None] = {path: content.parts / path for path in paths}
        copied |= {RANKER: content.ranker, REFERENCE: content.reference}
        for name, origin in copied.items():
            if origin is not None:
                _copy(origin, building / name)
        files = describe(building)
        manifest = Manifest(
            version=new_version(files),
            created_at=_now(),
            feature_set_hash=content.feature_set.hash,
            num_items=len(content.items),
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
        path: Directory of the bundle.
        verify: Compare checksums; False only if they were compared just before.

    Raises:
        BundleError: If a file is missing or changed, or the feature set differs from the manifest's.
    """
    manifest = Manifest.read(path)
    if verify:
        manifest.verify(path)
    feature_set = FeatureSet.load(path / FEATURE_SET)
    if feature_set.hash != manifest.feature_set_hash:
        raise BundleError(
            f"The bundle {manifest.version} was made for feature set {manifest.feature_set_hash}, but its file has "
            f"{feature_set.hash}: serve it with the code that made it."
        )
    towers_set = path / TOWERS_FEATURE_SET
    if towers_set.is_file() and FeatureSet.load(towers_set).hash != feature_set.hash:
        raise BundleError(f"The towers of bundle {manifest.version} were fitted for another feature set.")
    return Bundle(path, manifest, feature_set)


def _copy(origin: Path, target: Path) -> None:
    if origin.is_dir():
        shutil.copytree(origin, target, ignore=shutil.ignore_patterns(".*"))
    else:
        shutil.copyfile(origin, target)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
