"""Builds a cutoff: tables of neighbours, popular lists, towers and the item index, all as of the same time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.index.own import choose_own_half_life
from components.index.popular import choose_half_life, fit_popularity
from components.index.quotas import SourceTrial, choose_quotas, try_sources
from components.index.settings import TableSettings, choose_settings
from components.index.trial import Trial
from components.replay.cutoff import CUTOFF_FILE, INDEX, TOWERS
from components.replay.events import Events
from components.retrieval.towers import embed_items
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.progress import say
from feature_repo.storage.files import write_json
from inference.models.index import IndexConfig, ItemIndex
from inference.sources import parts_of


def build_cutoff(
    tables_dir: Path,
    features_dir: Path,
    towers_dir: Path | None,
    out_dir: Path,
    *,
    name: str,
    until: float | None = None,
    tables: TableSettings | None = None,
    index: IndexConfig | None = None,
) -> dict[str, float]:
    """Writes the folder of a cutoff; see `components/replay/cutoff.py`.

    Args:
        tables_dir: Clean prepared tables.
        features_dir: Features of the same tables.
        towers_dir: Towers fitted on events no later than the cutoff's time; None omits the towers and the index.
        out_dir: The folder to write.
        name: rank, validation, test or final.
        until: Unix seconds; events at or after this time are ignored. None is the cutoff's time (`Split.cutoff_time`).
        tables: Settings of the tables of neighbours; None chooses them on the validation span.
        index: Settings of the item index.

    Returns:
        Numbers for the run's metrics: items, half-life, recall of the index.

    Raises:
        KuberecError: The index finds less than 95 % of the items that exact search finds.
    """
    prepared = PreparedTables.open(tables_dir)
    features = FeaturesDirectory(features_dir)
    item_ids, feature_set = features.item_ids(), features.feature_set()
    num_items, split = len(item_ids), prepared.split
    events = Events.read(prepared, item_ids)
    until = split.cutoff_time(name) if until is None else until
    out_dir.mkdir(parents=True, exist_ok=True)
    item_life = prepared.time_scales.item_life if split.parts > 1 else None
    half_life = choose_half_life(events, num_items, split.validation_start, split.test_start, item_life)
    fit_popularity(events, num_items, until, half_life).save(out_dir)
    before = fit_popularity(events, num_items, split.validation_start, half_life)
    own_half_life = choose_own_half_life(events, num_items, split.validation_start, split.test_start, before.score)
    trial = Trial.of(events, feature_set, item_ids, split)
    tables = tables or choose_settings(trial, events)
    kinds = parts_of(feature_set.sources)
    tried = try_sources(trial, [before, *tables.fit(kinds, events, num_items, trial.as_of)])
    quotas = choose_quotas(trial, tried)
    fitted = [
        *tables.fit(kinds, events, num_items, until),
        *(kind.fit_from(events, num_items, until) for kind in kinds),
    ]
    for part in fitted:
        if part is not None:
            part.save(out_dir)
    description: dict[str, Any] = {
        "name": name,
        "until": until,
        "half_life_days": half_life,
        "own_half_life_days": own_half_life,
        "num_items": num_items,
        "tables": tables.model_dump(),
        "quotas": quotas,
        "sources": {source: asdict(found) for source, found in tried.items()},
    }
    if towers_dir is not None:
        embeddings = embed_items(tables_dir, features_dir, towers_dir, out_dir / TOWERS, until=until)
        index = index or IndexConfig()
        queries = None
        if index.kind(len(embeddings)) != "flat":
            from components.index.user_vectors import user_vectors  # imports Feast, which takes seconds

            queries = user_vectors(prepared, features_dir, out_dir / TOWERS, until)
        built = ItemIndex.build(embeddings, index, queries)
        (out_dir / INDEX).mkdir(exist_ok=True)
        built.save(out_dir / INDEX)
        description |= {"index": built.kind, "index_recall": 1.0 if built.recall is None else built.recall}
    write_json(out_dir / CUTOFF_FILE, description)
    say(
        f"cutoff {name}: {description.get('index', 'no')} index of {num_items:,} items; half-life of popularity "
        f"{half_life:g} days, of own items {own_half_life:g} days"
    )
    say(f"cutoff {name}: {_sentence(tried, quotas)}")
    margins = {f"margin_{source}": found.margin for source, found in tried.items()}
    return margins | {key: float(value) for key, value in description.items() if isinstance(value, int | float)}


def _sentence(tried: Mapping[str, SourceTrial], quotas: Mapping[str, int]) -> str:
    """What every source finds in the validation span, and which sources are off."""
    found = [f"{source} finds {trial.recall:.1%}, alone {trial.margin:.1%}" for source, trial in tried.items()]
    off = ", ".join(source for source, quota in quotas.items() if not quota)
    return f"of the items chosen in validation {'; '.join(found)}; off: {off or 'none'}"
