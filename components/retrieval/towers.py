"""Fits the towers on events before a given time, and embeds the items of a row map as of a given time.

Towers, item embeddings and index belong together; `components/index` combines them into a cutoff.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from components.retrieval.config import TrainingConfig
from components.retrieval.content import NUM_WORDS, read_items, read_users
from components.retrieval.files import load_towers, save_embeddings, save_towers
from components.retrieval.fitting.checkpoints import Checkpoints
from components.retrieval.fitting.continued import Trained, continued
from components.retrieval.fitting.training import Fit, train
from components.retrieval.fitting.watch import UNKNOWN, Watch
from components.retrieval.fitting.workers import single_thread
from components.retrieval.log import PositiveLog, codes_of
from components.retrieval.model import TrainableTowers, TrainingData
from components.retrieval.sequences import Examples
from feature_repo.dataset.split import Split
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import HISTORY_LENGTH, FloatArray
from feature_repo.progress import say
from feature_repo.storage.files import read_json
from inference.models.encoder import TOWER_TIME_FEATURES, TOWERS_FILE
from inference.networks.towers import TowersConfig

MOMENTS = (0.25, 0.5, 0.75, 0.9, 1.0)  # quantiles of the examples' times whose item numbers are standardised


def fit_towers(
    tables_dir: Path,
    features_dir: Path,
    out_dir: Path,
    *,
    until: float,
    before_dir: Path | None = None,
    seed: int = 0,
    config: TrainingConfig | None = None,
    code_version: str = "",
) -> dict[str, float]:
    """Fits towers on events before `until` and embeds the items as of `until`.

    Fresh towers stop early on the span that follows `until`. That span is as long as the validation span and never
    reaches into the test span. If no such span is left, they are fitted up to the validation span, stopped early on it,
    and trained further on the events before `until`; see `continued.py`.

    Args:
        tables_dir: Clean prepared tables.
        features_dir: Features of the same tables; the feature set and the row map are read.
        out_dir: The directory to write, see `files.py`.
        until: Unix seconds, a cut of the split.
        before_dir: Towers of earlier events and the same features, which are trained further; None fits fresh ones.
        seed: Seed of weights, order and negatives; the same seed gives the same towers.
        config: See `TrainingConfig`.
        code_version: Version of the code; a checkpoint of another version is not used.

    Returns:
        Numbers for the run's metrics: epochs, NDCG and recall (absent if not measured), examples, items, seconds.
    """
    started = time.monotonic()
    config = config or TrainingConfig()
    tables, features = PreparedTables.open(tables_dir), FeaturesDirectory(features_dir)
    feature_set, item_ids = features.feature_set(), features.item_ids()
    with single_thread():
        before = None
        if before_dir is not None:
            loaded, _, known = load_towers(before_dir)
            before = _trained(loaded, known, read_json(before_dir / TOWERS_FILE))
        run = _Run(tables, feature_set, item_ids, seed, config, code_version)
        towers, data, fitted = run.fitted(until, before)
        embeddings = towers.embed_items(data.items, data.item_index, until)
    numbers: dict[str, float] = {
        "epochs": fitted.epochs,
        "num_examples": len(data.examples),
        "num_items": len(item_ids),
    }
    if math.isfinite(fitted.quality.ndcg):
        numbers[f"ndcg_at_{config.list_length}"] = fitted.quality.ndcg
        numbers[f"recall_at_{config.list_length}"] = fitted.quality.recall
    curve = [[epoch, loss, ndcg if math.isfinite(ndcg) else None] for epoch, loss, ndcg in fitted.curve]
    description: dict[str, Any] = {
        "until": until, "seed": seed, "training": config.model_dump(), "curve": curve, **numbers,
    }  # fmt: skip
    save_towers(towers, feature_set, item_ids[data.item_index > 0], description, out_dir)
    save_embeddings(embeddings, out_dir)
    numbers["seconds"] = time.monotonic() - started
    say(f"towers: {len(data.examples):,} examples, {fitted.epochs} epochs, {numbers['seconds']:.0f} s")
    return numbers


def embed_items(tables_dir: Path, features_dir: Path, towers_dir: Path, out_dir: Path, *, until: float) -> FloatArray:
    """Copies fitted towers, and embeds the row map's items as of a later time.

    Args:
        tables_dir: Clean prepared tables; items may be newer than the towers.
        features_dir: Features of the same tables; the row map is read.
        towers_dir: Output of `fit_towers`.
        out_dir: Receives the same files with new item embeddings.
        until: Unix seconds; events at or after this time are ignored.

    Returns:
        Item embeddings [m, d].
    """
    tables, item_ids = PreparedTables.open(tables_dir), FeaturesDirectory(features_dir).item_ids()
    towers, feature_set, own_ids = load_towers(towers_dir)
    items = read_items(tables, feature_set, item_ids, until)
    index = codes_of(pa.array(item_ids, type=pa.string()), own_ids).astype(np.int64)
    embeddings = towers.embed_items(items, index, until)
    shutil.copytree(towers_dir, out_dir, dirs_exist_ok=True)
    save_embeddings(embeddings, out_dir)
    return embeddings


def watched_span(split: Split, until: float) -> tuple[float, float]:
    """The span for early stopping of towers fitted on events before `until`; never inside the test span."""
    if until < split.test_start:
        return until, min(until + split.test_start - split.validation_start, split.test_start)
    return split.validation_start, split.test_start


def training_data(
    tables: PreparedTables,
    feature_set: FeatureSet,
    item_ids: npt.NDArray[np.object_],
    until: float,
    end: float,
    config: TrainingConfig,
) -> TrainingData:
    """Training data with examples before `until`, and the log up to `end` for measuring quality."""
    log = PositiveLog.read(tables, feature_set, item_ids, max(until, end))
    examples = Examples.of(log, feature_set.repeats, until, damping=config.group_damping, limit=config.max_examples)
    own = np.bincount(log.rows[examples.positions], minlength=len(item_ids)) >= config.least_examples
    return TrainingData(
        log=log,
        examples=examples,
        items=read_items(tables, feature_set, item_ids, until),
        profiles=read_users(tables, feature_set, log.user_ids, until),
        item_index=np.where(own, np.cumsum(own), 0),
        feature_set=feature_set,
        horizon=0.0 if tables.asks_next else tables.split.test_start - tables.split.validation_start,
    )


def _trained(towers: TrainableTowers, own_ids: Sequence[str], described: Mapping[str, Any]) -> Trained:
    """Saved towers with the numbers of their `towers.json`."""
    curve = tuple((epoch, loss, math.nan if ndcg is None else ndcg) for epoch, loss, ndcg in described["curve"])
    return Trained(towers, own_ids, int(described["epochs"]), int(described["num_examples"]), curve)


@dataclass(frozen=True)
class _Run:
    """What all fits of one call share; see `fit_towers`."""

    tables: PreparedTables
    feature_set: FeatureSet
    item_ids: npt.NDArray[np.object_]
    seed: int
    config: TrainingConfig
    code_version: str

    def fitted(self, until: float, before: Trained | None) -> tuple[TrainableTowers, TrainingData, Fit]:
        """Towers fitted on events before `until`, their training data, and the result of the fit."""
        config, reached, kept = self.config, UNKNOWN, []
        if before is None:
            start, end = watched_span(self.tables.split, until)
            data = self._data(start, end)
            watch = Watch.of(data, start, end, config.max_watched)
            longest = config.epochs_of(len(data.examples))
            most = longest if len(watch) else min(config.default_epochs, longest)
            kept.append(self._checkpoints(start, most, 0, len(data.examples)))
            towers, found = fit(data, config, start, watch if len(watch) else None, most, self.seed, kept[0])
            if start >= until:
                kept[0].remove()
                return towers, data, found
            known = self.item_ids[data.item_index > 0].tolist()
            before, reached = Trained(towers, known, found.epochs, len(data.examples), found.curve), found.quality
        data = self._data(until, until)
        towers = continued(before, self.item_ids, data, self.seed)
        further = config.further_epochs(before.epochs, before.num_examples, len(data.examples))
        kept.append(self._checkpoints(until, further, before.epochs, len(data.examples)))
        done = train(towers, data, config, None, further, self.seed, before.epochs, kept[-1])
        for checkpoints in kept:
            checkpoints.remove()
        return towers, data, Fit(done.epochs, reached, (*before.curve, *done.curve))

    def _data(self, until: float, end: float) -> TrainingData:
        return training_data(self.tables, self.feature_set, self.item_ids, until, end, self.config)

    def _checkpoints(self, until: float, epochs: int, done: int, num_examples: int) -> Checkpoints:
        depends_on = {
            "tables": self.tables.description["fingerprint"],
            "features": self.feature_set.hash,
            "until": until,
            "epochs": [done, epochs],
            "num_examples": num_examples,
            "seed": self.seed,
            "training": self.config.model_dump(),
            "code_version": self.code_version,
            "torch": torch.__version__,
        }
        return Checkpoints.of(f"{self.tables.config.name}-{until:.0f}-{self.config.dimension}", depends_on)


def fit(
    data: TrainingData,
    config: TrainingConfig,
    until: float,
    watch: Watch | None,
    epochs: int,
    seed: int,
    keeper: Checkpoints | None = None,
) -> tuple[TrainableTowers, Fit]:
    """Fresh towers, trained on the data's examples; see `train`."""
    towers = TrainableTowers(shapes(data, config, until), seed)
    cuts = np.quantile(data.log.times[data.examples.positions], MOMENTS) if len(data.examples) else [until]
    numeric = np.concatenate([data.items.numeric(cut)[data.items.alive(cut)] for cut in cuts])
    towers.items.standardise.fit(towers.tensor(numeric))
    towers.users.standardise.fit(towers.tensor(data.profiles.numeric))
    return towers, train(towers, data, config, watch, epochs, seed, keeper=keeper)


def shapes(data: TrainingData, config: TrainingConfig, until: float) -> TowersConfig:
    """Shapes of towers that fit the data."""
    feature_set = data.feature_set

    def sizes(side: str, names: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(feature_set.vocabulary_size(f"{side}.{name}") for name in names)

    return TowersConfig(
        num_item_ids=int(data.item_index.max(initial=0)),
        item_categorical=sizes("items", feature_set.item_categorical),
        num_item_numeric=data.items.numeric(until).shape[1],
        num_words=NUM_WORDS if data.items.has_text else 0,
        user_categorical=sizes("users", feature_set.user_categorical),
        num_user_numeric=data.profiles.numeric.shape[1],
        request_categorical=sizes("request", feature_set.request_categorical),
        num_request_numeric=len(TOWER_TIME_FEATURES),
        num_grades=len(feature_set.objectives),
        dimension=config.dimension,
        hidden=config.hidden,
        num_blocks=config.num_blocks,
        num_heads=config.num_heads,
        dropout=config.dropout,
        history_length=HISTORY_LENGTH,
    )
