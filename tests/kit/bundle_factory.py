"""Real bundles of the small world: LightGBM fitted on the recommender's own candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np

from feature_repo.storage.files import write_json
from inference.bundles.bundle import Bundle, BundleContent, write_bundle
from inference.bundles.manifest import Facts
from inference.hydrators.protocol import UserReader
from inference.models.artifacts import Artifacts
from inference.models.towers import Towers
from tests.kit import world

FACTS = Facts(
    dataset="world",
    fingerprint="f" * 64,
    code_version="test",
    log_end=world.NOW,
    weights_until=world.NOW - 14 * world.DAY,
    ranker_until=world.NOW - 14 * world.DAY,
    features_as_of=world.NOW,
    metrics={"ndcg@20": 0.1},
)


def fit_ranker(out: Path, seed: int = 0, made: Artifacts | None = None, users: UserReader | None = None) -> Path:
    """Trees that like cheap things of the user's own taste; on the world's own artifacts where none are given."""
    made = made or world.artifacts(with_towers=False)
    found = world.recommender(made, users=users).candidates([world.query(f"u{n}") for n in range(60)])
    rng = np.random.default_rng(seed)
    price = made.items.numeric[found.rows, 1]
    label = (found.score * 50 - 0.3 * price + rng.normal(0, 0.3, len(found)) > 0.2).astype(int)
    data = lgb.Dataset(found.features, label, group=np.diff(found.offsets))
    params = {"objective": "lambdarank", "num_leaves": 15, "verbosity": -1, "num_threads": 1, "seed": seed}
    booster = lgb.train(params, data, 20)
    out.mkdir(parents=True)
    (out / "model.txt").write_text(booster.model_to_string())
    table = {"x": [-3.0, 0.0, 3.0], "y": [0.01, 0.1, 0.6]}
    write_json(out / "calibration.json", {"click": table, "convert": {**table, "y": [0.001, 0.01, 0.1]}})
    return out


def content_of(directory: Path, made: Artifacts, **more: Any) -> BundleContent:
    """What a bundle of these artifacts is written from, without towers made in memory, and more of it.

    Args:
        directory: Receives the folder `parts`.
        made: The artifacts.
        **more: Other fields of `BundleContent`.
    """
    folder = directory / "parts"
    folder.mkdir(parents=True)
    for part in made.parts.values():
        if not (isinstance(part, Towers) and part.directory is None):
            part.save(folder)
    return BundleContent(
        feature_set=made.feature_set,
        items=made.items,
        contents=made.contents.to_table(),
        config=made.config,
        parts=folder,
        **more,
    )


def make_bundle(directory: Path, seed: int = 0) -> Bundle:
    """A bundle without towers (those need a trained network), with everything else real."""
    made = world.artifacts()
    content = content_of(directory, made, ranker=fit_ranker(directory / "ranker", seed))
    return write_bundle(content, directory / "bundles", FACTS)
