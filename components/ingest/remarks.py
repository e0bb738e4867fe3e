"""Lines about what ingest does not read although the owner may expect it: entries and columns under similar names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.ingest.layout.listing import unread_entries
from components.ingest.sources import TableSource
from feature_repo.dataset.config import DatasetConfig
from feature_repo.dataset.contract import CONTRACT_COLUMNS, TABLES


def remarks(directory: Path, sources: dict[str, TableSource], config: DatasetConfig) -> Iterator[str]:
    """Yields one line for each entry or column that is not read, and how to have it read."""
    for name in unread_entries(directory):
        yield f"{directory / name} is not read: the tables are {', '.join(f'{table}.parquet' for table in TABLES)}"
    for table, source in sources.items():
        for contract_name, name in similar_columns(source, config).items():
            yield (
                f"{source.path}: column {name!r} is not read as {contract_name}; "
                f'[columns.{table}] {contract_name} = "..." with its name reads it'
            )


def similar_columns(source: TableSource, config: DatasetConfig) -> dict[str, str]:
    """Contract name without a column -> a column whose name differs in case, spaces or a byte order mark."""
    used = {
        column
        for name in (*CONTRACT_COLUMNS[source.table], *config.objective_names)
        for column in config.file_columns(source.table, name)
    }
    extras = config.extras(source.table)
    spare = source.names - used - {*extras.categorical, *extras.numerical}
    plain = {name.strip("\ufeff \t").replace(" ", "_").casefold(): name for name in sorted(spare)}
    return {
        name: plain[name]
        for name in CONTRACT_COLUMNS[source.table]
        if config.file_columns(source.table, name) == (name,) and name not in source.names and name in plain
    }
