"""The bundle: everything one release serves with, in one immutable directory.

    manifest.json                files with checksums, see `manifest.py`
    feature_set.json             names, order and codes
    item_ids.parquet             the row map
    contents.parquet             titles and the like
    items.npz                    first snapshot of what moves
    recommender.json             quotas, weights, words
    <parts of the sources>       neighbours.npz, popularity.npz, towers/, index/: `Part.paths` of `inference/sources`
    ranker/                      `ranker.json` says its kind                          where a ranker was fitted
    reference/                   what drift is measured against                       where there is one

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
        parts = load_parts(self.path, self.feature_set.sources, num_threads)
        for part in parts.values():
            if part.num_items != len(item_ids):
                paths = " and ".join(part.paths)
                raise BundleError(f"The {paths} of bundle {self.version} and its row map differ in size: train again.")
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
            parts=parts,
            config=config,
        )

    def ranker(self, num_threads: int = 1) -> Ranker:
        """The ranker of the bundle.

        Raises:
            BundleError: If the bundle has none, or it cannot be read.
        """
        if not (self.path / RANKER).is_dir():
            raise BundleError(f"The bundle {self.version} has no ranker.")
        return open_ranker(self.path / RANKER, num_threads)


@dataclass(frozen=True)
class BundleContent:
    """What a bundle is made of, as the steps of training left it.

    Attributes:
        feature_set: Its hash is the manifest's.
        items: The catalogue as of the release; its ids are the row map.
        contents: Table with `item_id` and what is shown of items.
        config: How the recommender merges.
        parts: Folder with the parts of the sources as of the release; they are copied.
        ranker, reference: Folders to copy, None where there is none.
    """

    feature_set: FeatureSet
    items: ItemColumns
    contents: pa.Table
    config: RecommenderConfig
    parts: Path
    ranker: Path | None = None
    reference: Path | None = None


def write_bundle(content: BundleContent, out_dir: Path, facts: Facts) -> Bundle:
    """Makes a bundle below `out_dir`, complete on disk or not at all.

    Args:
        content: What it holds.
        out_dir: Receives the directory `<version>`.
        facts: What the manifest says next to the files.

    Raises:
        BundleError: A part of a source is missing, or only some of its files are there.
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
