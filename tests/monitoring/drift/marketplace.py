"""A recommender trained on a simulated marketplace, and its next days: in process, without servers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.features.build import build_features
from components.index.build import build_cutoff
from components.ingest import ingest
from components.marketplace.config import LOG_START, config_for
from components.marketplace.dataset.directory import make_dataset
from components.marketplace.dataset.log import EMAIL, HOME, MAXIMUM_ROUNDS, SIMILAR, SURFACE_NAMES, next_requests
from components.marketplace.world.events import KINDS, SimulatedEvents
from components.marketplace.world.policy import SLATE_SIZE
from components.marketplace.world.visits import Visits, visits_of
from components.marketplace.world.vocabulary import COUNTRIES, DEVICES
from components.marketplace.world.world import World
from components.ranking.train import train_ranker
from components.ranking.trees.boosting import RankerConfig
from components.release.reference import make_reference
from components.replay.cutoff import Cutoff
from components.retrieval.config import TrainingConfig
from components.retrieval.towers import fit_towers
from components.validation.rows.checks import check_rows
from feature_repo.dataset.split import DAY
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.directory import FeaturesDirectory
from inference.bundles.bundle import Bundle, BundleContent, write_bundle
from inference.bundles.manifest import Facts
from inference.candidates.query import Query
from inference.feature_store.historical import HistoricalFeatures
from inference.log.impressions import impressions_table
from inference.log.layout import HOUR, IMPRESSIONS, hour_folder
from inference.recommender import Recommender
from inference.scorers.local import LocalScorer
from inference.stages import Stages


@dataclass(frozen=True)
class Shop:
    """A released recommender and the world it was trained on.

    Attributes:
        world: The users, as the log left them.
        bundle: With a reference.
        tables: What it was trained on.
        features_dir: Their features: the state of users on the next day, as nobody has refreshed it since.
    """

    world: World
    bundle: Bundle
    tables: PreparedTables
    features_dir: Path

    @property
    def next_day(self) -> tuple[float, float]:
        """The day after the log, unix seconds."""
        start = LOG_START + self.world.config.num_days * DAY
        return start, start + DAY

    def day(self, seed: int, requests: int) -> pa.Table:
        """Rows of a next day with its sessions, of as many draws of visits as make up the requests."""
        tables: list[pa.Table] = []
        while sum(len(pc.unique(table["request_id"])) for table in tables) < 1.03 * requests:
            tables += self._sessions(1000 * seed + len(tables))
        return pa.concat_tables(tables)

    def _sessions(self, seed: int) -> list[pa.Table]:
        """The requests of one draw of visits, round by round; what users do is known to their next request."""
        world = copy(self.world)
        world.config = world.config.model_copy(update={"seed": seed})
        visits, random = visits_of(world, world.config.num_days), np.random.default_rng(seed)
        artifacts, at, now = self.bundle.artifacts(), np.arange(len(visits)), visits.times.copy()
        seeds = np.full(len(visits), -1)
        tables: list[pa.Table] = []
        events: list[SimulatedEvents] = []
        for turn in range(MAXIMUM_ROUNDS):
            if not len(at):
                break
            surface = np.where(seeds[at] >= 0, SIMILAR, np.where(visits.by_email[at] & (turn == 0), EMAIL, HOME))
            queries = self._queries(world, visits, at, now[at], surface, seeds[at], f"{seed}-{turn}")
            with self._reader(events) as reader:
                recommender = Recommender(artifacts, Stages.of(artifacts, reader, LocalScorer(self.bundle.ranker())))
                slates = recommender.recommend(queries)
            tables.append(impressions_table([slate for slate in slates if slate.features is not None], artifacts))
            shown = np.full((len(at), max(SLATE_SIZE.values())), -1, dtype=np.int32)
            for row, slate in zip(shown, slates, strict=True):
                row[: len(slate.rows)] = world.item_rows(artifacts.items.item_ids[slate.rows].tolist())
            done = world.answer(visits.users[at], shown, now[at], SURFACE_NAMES[surface].tolist())
            events.append(done)
            on, now[at], seeds[at] = next_requests(done, now[at], random)
            at = at[on & (now[at] < self.next_day[1])]
        return tables

    def _queries(
        self,
        world: World,
        visits: Visits,
        at: np.ndarray,
        now: np.ndarray,
        surface: np.ndarray,
        seeds: np.ndarray,
        name: str,
    ) -> list[Query]:
        people, goods = world.market.population, world.market.catalogue
        surfaces = SURFACE_NAMES[surface].tolist()
        return [
            Query(
                people.user_ids[user],
                float(moment),
                surface,
                count=SLATE_SIZE[surface],
                request_id=f"{name}-{one}",
                item_id=goods.item_ids[seed] if seed >= 0 else None,
                country=COUNTRIES[people.country[user]].name,
                device=DEVICES[visits.devices[one]],
            )
            for one, user, moment, surface, seed in zip(at, visits.users[at], now, surfaces, seeds, strict=True)
        ]

    @contextmanager
    def _reader(self, events: list[SimulatedEvents]) -> Iterator[HistoricalFeatures]:
        """The features as the log left them, and the events of the day so far."""
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            for path in self.features_dir.iterdir():
                (folder / path.name).symlink_to(path)
            known = FeaturesDirectory(folder).events_file
            table = pq.read_table(known)
            grades = self.tables.config.event_grades
            people, goods = self.world.market.population, self.world.market.catalogue
            parts = [table]
            for part in events:
                grade = np.array([grades.get(kind, 0) for kind in KINDS])[part.kinds]
                used = part.take(grade != 0)
                columns = {
                    "user_id": np.array(people.user_ids)[used.users],
                    "item_id": np.array(goods.item_ids)[used.items],
                    "time_us": np.round(used.times * 1e6).astype(np.int64),
                    "grade": grade[grade != 0].astype(np.int8),
                }
                parts.append(pa.table(columns).cast(table.schema))
            known.unlink()
            pq.write_table(pa.concat_tables(parts).sort_by([("user_id", "ascending"), ("time_us", "ascending")]), known)
            with HistoricalFeatures(folder) as reader:
                yield reader


def make_shop(directory: Path, size: str, *, towers: bool, trees: RankerConfig, days: int = 7) -> Shop:
    """Trains and releases as the pipeline does, but for evaluation and gate."""
    make_dataset(config_for(size), directory / "dataset")
    ingest(directory / "dataset", directory / "raw")
    check_rows(directory / "raw", directory / "clean", directory / "aside", directory / "page.html")
    clean, features = directory / "clean", directory / "features"
    tables = PreparedTables.open(clean)
    build_features(clean, features)
    for name in ("rank", "final"):
        fitted = directory / f"towers-{name}" if towers else None
        if fitted is not None:
            until = min(tables.split.cutoff_time(name), tables.split.test_start)
            before = directory / "towers-rank" if name == "final" else None
            config = TrainingConfig(max_epochs=2)
            fit_towers(clean, features, fitted, until=until, before_dir=before, config=config)
        build_cutoff(clean, features, fitted, directory / name, name=name)
    train_ranker(clean, features, directory / "rank", directory / "ranker", config=trees, max_rows=60_000)
    final, ranker, reference = directory / "final", directory / "ranker", directory / "reference"
    make_reference(clean, features, final, ranker, reference, days=days)
    bundle = _bundle(directory, tables)
    return Shop(World(config_for(size)), bundle, tables, features)


def write_log(log: Path, table: pa.Table) -> str:
    """Rows as parts of a log, an hour each."""
    hours = pc.cast(table["timestamp"], pa.int64()).to_numpy() // (HOUR * 10**6)
    for hour in np.unique(hours).tolist():
        folder = log / IMPRESSIONS / hour_folder(hour)
        folder.mkdir(parents=True)
        pq.write_table(table.filter(pa.array(hours == hour)), folder / "part-0.parquet")
    return str(log)


def _bundle(directory: Path, tables: PreparedTables) -> Bundle:
    cutoff, split = Cutoff(directory / "final", directory / "features"), tables.split
    as_of = split.stamp(split.log_end)
    with HistoricalFeatures(directory / "features") as reader:
        content = BundleContent(
            feature_set=cutoff.feature_set,
            items=reader.items(as_of),
            contents=pq.read_table(FeaturesDirectory(directory / "features").items_static_file),
            parts=cutoff.directory,
            config=cutoff.config(),
            ranker=directory / "ranker",
            reference=directory / "reference",
        )
    facts = Facts(
        dataset=tables.config.name,
        fingerprint="f" * 64,
        code_version="test",
        log_end=split.log_end,
        weights_until=split.test_start,
        ranker_until=split.test_start,
        features_as_of=as_of,
    )
    return write_bundle(content, directory / "bundles", facts)
