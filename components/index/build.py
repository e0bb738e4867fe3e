"""Builds a cutoff: tables of neighbours, popular lists, towers and the item index, all as of the same time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.index.choices import Choices
from components.index.content.neighbours import fit_content_neighbours
from components.index.popular import fit_popularity
from components.replay.cutoff import CUTOFF_FILE, INDEX, TOWERS
from components.replay.events import Events
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.features.state import FloatArray
from feature_repo.progress import say
from feature_repo.storage.files import write_json
from inference.models.index import IndexConfig, ItemIndex
from inference.models.neighbours import ContentNeighbours
from inference.sources import parts_of
from inference.sources.content import ContentSource


def build_cutoff(
    tables_dir: Path,
    features_dir: Path,
    towers_dir: Path | None,
    out_dir: Path,
    *,
    name: str,
    until: float | None = None,
    index: IndexConfig | None = None,
    earlier_dir: Path | None = None,
) -> dict[str, float]:
    """Writes the folder of a cutoff; see `components/replay/cutoff.py`.

    Args:
        tables_dir: Clean prepared tables.
        features_dir: Features of the same tables.
        towers_dir: Towers fitted on events no later than the cutoff's time; None omits the towers and the index.
        out_dir: The folder to write.
        name: rank, validation, test or final.
        until: Unix seconds; events at or after this time are ignored. None is the cutoff's time (`Split.cutoff_time`).
        index: Settings of the item index.
        earlier_dir: An earlier cutoff of the same training, whose choices are taken; None chooses on the validation
            span.

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
    kinds = parts_of(feature_set.sources)
    earlier = None if earlier_dir is None else Choices.read(earlier_dir)
    content = None
    if ContentNeighbours in kinds and (earlier is None or earlier.quotas.get(ContentSource.name)):
        content = fit_content_neighbours(prepared, item_ids, until)
    choices = earlier or Choices.of(prepared, events, feature_set, item_ids, content)
    if earlier is None:
        say(f"cutoff {name}: {choices.sentence()}")
    fitted = [
        fit_popularity(events, num_items, until, choices.half_life),
        *choices.tables.fit(kinds, events, num_items, until),
        *(kind.fit_from(events, num_items, until) for kind in kinds),
        content if choices.quotas.get(ContentSource.name) else None,
    ]
    for part in fitted:
        if part is not None:
            part.save(out_dir)
    description: dict[str, Any] = {"name": name, "until": until, "num_items": num_items, **choices.described()}
    if towers_dir is not None:
        from components.retrieval.towers import embed_items  # imports torch, which takes seconds

        embeddings = embed_items(tables_dir, features_dir, towers_dir, out_dir / TOWERS, until=until)
        description |= _index(embeddings, prepared, features_dir, out_dir, until, index or IndexConfig())
    write_json(out_dir / CUTOFF_FILE, description)
    say(
        f"cutoff {name}: {description.get('index', 'no')} index of {num_items:,} items; half-life of popularity "
        f"{choices.half_life:g} days, of own items {choices.own_half_life:g} days"
    )
    margins = {f"margin_{source}": found.margin for source, found in choices.tried.items()}
    return margins | {key: float(value) for key, value in description.items() if isinstance(value, int | float)}


def _index(
    embeddings: FloatArray, tables: PreparedTables, features_dir: Path, out_dir: Path, until: float, config: IndexConfig
) -> dict[str, Any]:
    """Writes the index of the embedded items [m, d]; returns its kind and recall."""
    queries = None
    if config.kind(len(embeddings)) != "flat":
        from components.index.user_vectors import user_vectors  # imports Feast, which takes seconds

        queries = user_vectors(tables, features_dir, out_dir / TOWERS, until)
    built = ItemIndex.build(embeddings, config, queries)
    (out_dir / INDEX).mkdir(exist_ok=True)
    built.save(out_dir / INDEX)
    return {"index": built.kind, "index_recall": 1.0 if built.recall is None else built.recall}
