"""The ground truth of a simulated dataset, written next to its tables for checks; training never reads it.

`truth.json` holds the configuration, the examination probability of each position, and counts of planted defects.
`users.npz` and `items.npz` hold the hidden tastes and qualities, aligned to their `ids`. `bad_rows.parquet` lists every
planted bad row by table and file order.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ValidationError

from components.marketplace.config import LOG_START, MarketplaceConfig
from components.marketplace.dataset.defects import REASONS, Bot
from components.marketplace.dataset.log import Log
from components.marketplace.world.catalogue import Catalogue, Ints
from components.marketplace.world.events import KINDS
from components.marketplace.world.market import Market
from components.marketplace.world.policy import SLATE_SIZE
from components.marketplace.world.population import Population
from components.marketplace.world.world import World
from feature_repo.dataset.split import DAY
from feature_repo.errors import SettingsError
from feature_repo.storage.files import read_json, write_json, write_parquet

TRUTH = "truth"
TRUTH_FILE = "truth.json"

Reasons = dict[str, npt.NDArray[Any]]  # table -> codes into REASONS in file order


def identity(config: BaseModel) -> dict[str, Any]:
    """The inputs that determine a dataset: configuration and generator code. Equal identities give equal tables."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return {"config": config.model_dump(mode="json"), "generator": digest.hexdigest()[:16]}


def config_of(directory: Path) -> MarketplaceConfig:
    """The configuration of a simulated marketplace.

    Raises:
        SettingsError: `directory` is not a simulated dataset, or it is a log without impressions.
    """
    path = directory / TRUTH / TRUTH_FILE
    if not path.is_file():
        raise SettingsError(f"{directory} is not a simulated dataset, because {path} is missing: run `make simulate`.")
    try:
        return MarketplaceConfig.model_validate(read_json(path)["config"])
    except ValidationError as error:
        raise SettingsError(
            f"{directory} is not a simulated marketplace, because {path} holds another configuration: "
            "choose a dataset of `make simulate SIZE=tiny|small|large`."
        ) from error


def write_truth(directory: Path, market: Market, log: Log, bots: tuple[Bot, ...], reasons: Reasons) -> None:
    """Writes the files of the ground truth into `directory`."""
    directory.mkdir(parents=True)
    items, people = market.catalogue, market.population
    _save(directory / "items.npz", items, items.item_ids)
    _save(directory / "users.npz", people, people.user_ids)
    write_parquet(directory / "bad_rows.parquet", _bad_rows(reasons))
    write_json(directory / TRUTH_FILE, _facts(market, log, bots, reasons))


def _save(path: Path, columns: Catalogue | Population, ids: tuple[str, ...]) -> None:
    """Writes the numeric columns of a catalogue or population, with its ids as fixed-width text."""
    arrays = {name: getattr(columns, name) for name in columns.__slots__}
    numeric: dict[str, Any] = {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}
    np.savez(path, ids=np.array(ids), **numeric)


def _bad_rows(reasons: Reasons) -> pa.Table:
    rows = {table: np.flatnonzero(codes) for table, codes in reasons.items()}
    return pa.table(
        {
            "table": pa.array([table for table, at in rows.items() for _ in at], pa.string()),
            "row": pa.array(np.concatenate(list(rows.values())).astype(np.int64)),
            "reason": pa.array([REASONS[codes[row]] for table, codes in reasons.items() for row in rows[table]]),
        }
    )


def _facts(market: Market, log: Log, bots: tuple[Bot, ...], reasons: Reasons) -> dict[str, Any]:
    config, items, people = market.config, market.catalogue, market.population
    lately = config.log_end - config.new_days * DAY
    return {
        **identity(config),
        "log_start": LOG_START,
        "log_end": config.log_end,
        "examination": [round(float(share), 6) for share in World.examination(max(SLATE_SIZE.values()))],
        "spike_day": config.spike_day,
        "bots": [{"user_id": f"u{bot.user + 1:05d}", "day": bot.day, "num_events": bot.num_events} for bot in bots],
        "planted": {
            table: {REASONS[code]: int((codes == code).sum()) for code in np.unique(codes) if code}
            for table, codes in reasons.items()
        },
        "num_rows": {table: len(codes) for table, codes in reasons.items()},
        "events": {kind: int(count) for kind, count in zip(KINDS, _counts(log.interactions["kind"]), strict=True)},
        "new_days": config.new_days,
        "new_items": [items.item_ids[row] for row in np.flatnonzero(items.created_at >= lately)],
        "new_users": [people.user_ids[row] for row in np.flatnonzero(people.signup_at >= lately)],
        "guests": [people.user_ids[row] for row in np.flatnonzero(~people.has_profile)],
    }


def _counts(kinds: Ints) -> Ints:
    return np.bincount(kinds, minlength=len(KINDS))
