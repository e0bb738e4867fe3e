"""Dataset directory in, prepared tables out.

Owns the order of the work: configuration, footers, tables, description. Refuses a dataset in one sentence, and then
leaves the output as it was: everything is made in a folder beside it and moved in at the end, `dataset.json` last.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from components.ingest.description import describe_tables
from components.ingest.labels import read_outcomes, with_grades, with_labels
from components.ingest.preparation import connect, label_sources, prepare
from components.ingest.sources import Source, dataset_fingerprint, one_line, read_source
from feature_repo.contract import TABLES
from feature_repo.dataset import DatasetConfig
from feature_repo.errors import DatasetError
from feature_repo.progress import say, waiting
from feature_repo.tables import DESCRIPTION_FILE


def ingest(dataset_dir: Path | str, out_dir: Path | str, now: float | None = None) -> dict[str, Any]:
    """Reads a dataset directory (contract 1) into prepared tables.

    Rows are kept as they are, bad ones too: setting those aside is for row rules.

    Args:
        dataset_dir: Holds `dataset.toml` and the tables.
        out_dir: Where the prepared tables go; earlier ones are replaced.
        now: The wall clock in unix seconds, which tells rows dated years ahead; taken here where None.

    Returns:
        The content of `dataset.json`.

    Raises:
        DatasetError: The dataset cannot be used; `out_dir` is as it was.
    """
    dataset_dir, out_dir = Path(dataset_dir), Path(out_dir)
    config = DatasetConfig.load(dataset_dir)
    sources = {table: read_source(dataset_dir, table) for table in TABLES}
    interactions = sources["interactions"]
    if not interactions.groups:
        raise DatasetError(f"{interactions.path} is missing: a dataset needs interactions.")
    if not interactions.num_rows:
        raise DatasetError(f"{interactions.path} is empty: it has no row to learn from.")
    fingerprint = dataset_fingerprint(dataset_dir)
    with _staging(out_dir) as staging:
        labels = _prepare_all(sources, config, staging)
        description = describe_tables(staging, config, fingerprint, labels, now)
    for kind, count in description["context_event_types"].items():
        fate = "is kept as context" if config.events.allowed is None else "is not in events.allowed"
        say(f"event type '{kind}' ({count} rows) fulfils no objective and {fate}")
    return description


def _prepare_all(sources: dict[str, Source], config: DatasetConfig, staging: Path) -> dict[str, str]:
    """Writes the four tables into `staging` and says where labels come from."""
    own = label_sources(sources["impressions"], config)
    joined = False
    with connect(staging / "spill") as connection:
        for table, source in sources.items():
            say(f"reading {table}: {source.num_rows} rows")
            target = staging / f"{table}.parquet"
            with _named(source), waiting(f"preparing {table}", lambda: connection.query_progress() / 100):
                prepare(connection, source, config, target, _derivation(table, config, own, joined=joined))
                if table == "interactions":
                    joined = read_outcomes(connection, target, config)
    return {name: "column" if has else "joined" if joined else "absent" for name, has in own.items()}


def _derivation(table: str, config: DatasetConfig, own: dict[str, bool], *, joined: bool) -> Callable[[str], str]:
    """What adds the derived columns to the SELECT of a table."""
    if table == "interactions":
        return lambda select: with_grades(select, config)
    if table == "impressions":
        return lambda select: with_labels(select, config, own, joined=joined)
    return lambda select: select


@contextmanager
def _named(source: Source) -> Iterator[None]:
    """Turns what DuckDB finds damaged inside a file into a sentence."""
    try:
        yield
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException, duckdb.InternalError):
        raise  # a defect of ours, not of the file
    except duckdb.Error as error:
        raise DatasetError(f"{source.path} cannot be read: {one_line(error)}") from error


@contextmanager
def _staging(out_dir: Path) -> Iterator[Path]:
    """A folder beside `out_dir` whose tables replace those in it once the block has ended well."""
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out_dir.name}-", dir=out_dir.parent))
    try:
        yield staging
        out_dir.mkdir(exist_ok=True)
        (out_dir / DESCRIPTION_FILE).unlink(missing_ok=True)  # until the new one is there, nothing is
        for name in [*(f"{table}.parquet" for table in TABLES), DESCRIPTION_FILE]:
            (staging / name).replace(out_dir / name)
    finally:
        shutil.rmtree(staging)
