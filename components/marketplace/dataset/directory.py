"""Writes a simulated dataset directory atomically, unless the same dataset already exists."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import numpy as np
from pydantic import BaseModel

from components.marketplace.config import MarketplaceConfig
from components.marketplace.dataset.defects import (
    DUPLICATE,
    NEGATIVE_PRICE,
    NULL_ITEM,
    plant_bots,
    plant_in_impressions,
    plant_in_interactions,
)
from components.marketplace.dataset.log import Simulation
from components.marketplace.dataset.tables import (
    NUM_BAD_ITEMS,
    dataset_toml,
    impressions_table,
    interactions_table,
    items_table,
    users_table,
)
from components.marketplace.dataset.truth import TRUTH, TRUTH_FILE, identity, write_truth
from components.marketplace.world.world import World
from feature_repo.errors import SettingsError
from feature_repo.storage.files import read_json, write_parquet, write_text


def make_dataset(config: MarketplaceConfig, out: Path | str) -> bool:
    """Writes the dataset of a configuration to the directory `out`.

    Returns:
        Whether it was written; False if the same dataset already exists.

    Raises:
        SettingsError: `out` exists and is not a simulated dataset.
    """
    return place_dataset(config, Path(out), lambda directory: _write(config, directory))


def place_dataset(config: BaseModel, out: Path, write: Callable[[Path], None]) -> bool:
    """Lets `write` fill a temporary directory and moves it to `out`, unless the same dataset already exists there.

    Args:
        config: What the dataset is made of.
        out: The directory of the dataset.
        write: Creates and fills the directory that it receives, with truth.json and the identity of `config` in it.

    Returns:
        Whether it was written.

    Raises:
        SettingsError: `out` exists and is not a simulated dataset.
    """
    if out.exists():
        known = out / TRUTH / TRUTH_FILE
        if not known.is_file():
            raise SettingsError(f"{out} exists and is not a simulated dataset: choose another folder or remove it.")
        made_of = read_json(known)
        if all(made_of.get(key) == value for key, value in identity(config).items()):
            return False
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.parent / f".{out.name}.{uuid4().hex[:8]}.tmp"
    try:
        write(temporary)
        _put_in_place(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return True


def _write(config: MarketplaceConfig, directory: Path) -> None:
    world = World(config)
    log, bots = plant_bots(Simulation(world).run(), world.market)
    interactions = plant_in_interactions(log.interactions, world.market)
    impressions = plant_in_impressions(log.impressions, world.market)
    items, bad_items = items_table(world.market)
    users, bad_users = users_table(world.market)
    item_reasons = np.where(bad_items, NEGATIVE_PRICE, 0)
    item_reasons[np.flatnonzero(bad_items)[NUM_BAD_ITEMS:]] = NULL_ITEM
    directory.mkdir()
    write_parquet(directory / "interactions.parquet", interactions_table(interactions, world.market))
    write_parquet(directory / "impressions.parquet", impressions_table(impressions, world.market))
    write_parquet(directory / "items.parquet", items)
    write_parquet(directory / "users.parquet", users)
    write_text(directory / "dataset.toml", dataset_toml(config))
    reasons = {
        "interactions": interactions["reason"],
        "impressions": impressions["reason"],
        "items": item_reasons,
        "users": np.where(bad_users, DUPLICATE, 0),
    }
    write_truth(directory / TRUTH, world.market, log, bots, reasons)


def _put_in_place(temporary: Path, out: Path) -> None:
    """Moves a finished directory to `out`; an older directory is renamed first and removed last."""
    aside = out.parent / f".{out.name}.{uuid4().hex[:8]}.old"
    if out.exists():
        os.rename(out, aside)
    os.rename(temporary, out)
    shutil.rmtree(aside, ignore_errors=True)
