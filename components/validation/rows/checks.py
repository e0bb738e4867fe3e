"""Row checks end to end: splits prepared tables into clean tables and quarantine, and writes a report.

The clean tables are prepared tables again. The quarantine holds `<table>.parquet` (`row`, `reasons`, the columns) and
`report.json`. Every input row is in exactly one of both. Only a dataset without usable rows raises `DatasetError`; the
gate decides on a low quality rate.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import ibis
import numpy as np
import numpy.typing as npt
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from components.ingest.description import Origin, describe_tables
from components.validation.pages.quality_page import quality_page
from components.validation.report import BotDay, Finding, JoinShare, QualityReport, TableQuality, rows_as_text
from components.validation.rows.joins import join_shares
from components.validation.rows.oddities import daily_volumes, outliers
from components.validation.rows.rules import BOT, FLAG, Rule, bot_days, flagged, table_rules, without_unusable
from feature_repo.dataset.contract import TABLES, TIMED_TABLES
from feature_repo.dataset.split import DAY, Split, clean_span
from feature_repo.dataset.tables import SORT_KEYS, PreparedTables, unix_seconds
from feature_repo.dataset.time_scales import TimeScales
from feature_repo.errors import DatasetError
from feature_repo.pages.formats import duration
from feature_repo.progress import say
from feature_repo.storage.files import atomic_write, write_text
from feature_repo.storage.quoting import file_pattern, write_expression

MEMORY_LIMIT = "2GB"
NUM_SHOWN_BOTS = 10
LONGEST_BEFORE = 365 * DAY  # of a row of the log, before the first interaction of the dataset
NO = ibis.literal(value=False)


@dataclass(frozen=True, slots=True)
class Checked:
    """One table with the prepared columns and its flags: `reasons` (text, "" if clean), `bad` and `bot`."""

    name: str
    columns: Sequence[str]
    rows: Table
    rules: Sequence[Rule]

    @property
    def kept(self) -> Table:
        """Rows that are learned from, without their unusable values."""
        rows = self.rows.filter(~self.rows.bad & ~self.rows.bot)
        return without_unusable(rows, self.rules).select(*self.columns)


def check_rows(
    tables_dir: Path | str,
    clean_dir: Path | str,
    quarantine_dir: Path | str,
    page_path: Path | str,
    now: float | None = None,
) -> QualityReport:
    """Separates usable rows from bad rows and rows of bots, and records the reasons.

    Args:
        tables_dir: Prepared tables.
        clean_dir: Receives the usable rows, as prepared tables whose split follows the clean log.
        quarantine_dir: Receives a Parquet file per table with all other rows, and `report.json`.
        page_path: The report as an HTML page.
        now: The wall clock in unix seconds; None reads the clock.

    Raises:
        DatasetError: No usable row is left, or no usable row fulfils an objective. Report and quarantine are written.
    """
    tables = PreparedTables.open(tables_dir)
    with tempfile.TemporaryDirectory(prefix="kuberec-rules-") as scratch:
        engine = ibis.duckdb.connect(memory_limit=MEMORY_LIMIT, temp_directory=scratch)
        checked, bots = _check(engine, tables, now)
        for table in checked:
            _write(engine, table, Path(clean_dir), Path(quarantine_dir))
        report = _report(tables, checked, bots, join_shares(Path(clean_dir), tables))
        report.write(Path(quarantine_dir))
        write_text(page_path, quality_page(report))
        engine.disconnect()
    _refuse_unusable(report)
    shares = {join.name: join.share for join in report.joins}
    describe_tables(Path(clean_dir), tables.config, Origin.of(tables.description), now, are_clean=True, joins=shares)
    clean = PreparedTables.open(clean_dir)
    say(_measured(clean.time_scales, clean.split))
    say(report.summary())
    say(report.joins_summary())
    for join in report.joins:
        if join.examples:
            say(f"warning: {join.finding}")
    return report


def _measured(scales: TimeScales, split: Split) -> str:
    """The time scales of the clean log, and the cadence that they chose."""
    return (
        f"time scales: items live {duration(scales.item_life)}, visits last {duration(scales.visit_length)}, users "
        f"return after {duration(scales.return_time)}; items are counted every {duration(split.step)}, users every "
        f"{duration(split.user_step)}"
    )


def _check(engine: Backend, tables: PreparedTables, now: float | None) -> tuple[list[Checked], Table]:
    """Every table with its flags, and the table of bots."""
    judged: dict[str, tuple[Table, list[Rule], Sequence[str]]] = {}
    for name in TABLES:
        prepared = engine.read_parquet(
            file_pattern(tables.path(name)), table_name=f"prepared_{name}", hive_partitioning=False
        )
        rules = table_rules(name, prepared, tables.config, _plausible(tables, name, now))
        rows = engine.create_table(f"flagged_{name}", flagged(prepared, rules))
        judged[name] = rows, rules, prepared.columns
    events = judged["interactions"][0]
    clean = events.filter(events.reasons == "")
    bots = engine.create_table("bots", bot_days(clean, tables.config.quality.maximum_daily_events))
    checked = []
    for name, (rows, rules, columns) in judged.items():
        by_bot = ibis.coalesce(rows.user_id.isin(bots.user_id), NO) if name in TIMED_TABLES else NO
        marked = rows.mutate(bad=rows.reasons != "", bot=(rows.reasons == "") & by_bot)
        checked.append(Checked(name, columns, marked, rules))
    return checked, bots


def _plausible(tables: PreparedTables, name: str, now: float | None) -> tuple[datetime, datetime] | None:
    """First and last time of a timed table that is not outlying; None for a table without times.

    A row of the served log that lies over a year before the dataset's interactions is outlying, however many there are:
    clients may post old times, and a log that began in 1970 would have decades of snapshots.
    """
    if name not in TIMED_TABLES:
        return None
    times, served = _times(tables, name)
    own, is_served = (times, served) if name == "interactions" else _times(tables, "interactions")
    begin = clean_span(own[~is_served], now)[0]
    span = clean_span(times[~served | ~(times < begin - LONGEST_BEFORE)], now)
    if np.isnan(span[0]):
        return datetime.fromtimestamp(0, UTC), datetime.fromtimestamp(0, UTC)
    first, last = (datetime.fromtimestamp(seconds, UTC) for seconds in span)
    return first, last


def _times(tables: PreparedTables, name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Times of a table in unix seconds, and which of its rows are rows of the served log [n]."""
    table = tables.read(name, ["row", "timestamp"])
    served = table["row"].to_numpy() >= int(tables.description["num_own"][name])
    return unix_seconds(table["timestamp"]), served


def _report(
    tables: PreparedTables, checked: Sequence[Checked], bots: Table, joins: tuple[JoinShare, ...]
) -> QualityReport:
    config = tables.config
    worst = bots.order_by([bots.events.desc(), bots.user_id]).limit(NUM_SHOWN_BOTS).to_pyarrow().to_pylist()
    timed = [table for table in checked if table.name in TIMED_TABLES]
    unmapped: dict[str, int] = {}
    if config.known_event_types is None:
        events = checked[TABLES.index("interactions")].kept
        counts = events.filter(events.grade == 0).group_by("event_type").agg(rows=lambda t: t.count())
        found = counts.order_by([counts.rows.desc(), counts.event_type]).to_pyarrow().to_pylist()
        unmapped = {row["event_type"]: row["rows"] for row in found}
    return QualityReport(
        dataset=config.name,
        minimum_rate=config.quality.minimum_rate,
        maximum_daily_events=config.quality.maximum_daily_events,
        tables={table.name: _quality(table, int(tables.description["num_own"][table.name])) for table in checked},
        bots=tuple(
            BotDay(user_id=row["user_id"], day=row["day"].date().isoformat(), events=row["events"]) for row in worst
        ),
        num_bots=int(bots.count().to_pyarrow().as_py()),
        volumes={table.name: daily_volumes(_at_plausible_times(table)) for table in timed},
        outliers=tuple(
            outlier
            for table in checked
            for outlier in outliers(table.name, table.kept, config.extras(table.name).numerical)
        ),
        unmapped_event_types=unmapped,
        joins=joins,
        warnings=tuple(tables.description["warnings"]),
    )


def _at_plausible_times(table: Checked) -> Table:
    rows = table.rows.filter(table.rows.timestamp.notnull())
    return rows.filter(~rows[FLAG + "outlying_time"])


def _quality(table: Checked, num_own: int) -> TableQuality:
    rows = table.rows
    served = rows.row >= num_own
    totals = rows.aggregate(
        num_rows=rows.count(),
        num_bad=rows.bad.sum().fill_null(0),
        num_bots=rows.bot.sum().fill_null(0),
        num_served=served.sum().fill_null(0),
        num_served_bad=(served & rows.bad).sum().fill_null(0),
        **{rule.reason: rows[FLAG + rule.reason].sum().fill_null(0) for rule in table.rules},
    )
    counts: dict[str, int] = totals.to_pyarrow().to_pylist()[0]
    clean = counts["num_rows"] - counts["num_bad"]
    findings = tuple(
        Finding(
            reason=rule.reason,
            column=rule.column,
            rule=rule.words,
            count=counts[rule.reason],
            examples=_examples(table, rule) if counts[rule.reason] else (),
            value_only=rule.value_only,
        )
        for rule in table.rules
    )
    return TableQuality(
        rows=counts["num_rows"],
        clean=clean,
        kept=clean - counts["num_bots"],
        served_rows=counts["num_served"],
        served_clean=counts["num_served"] - counts["num_served_bad"],
        findings=findings,
    )


def _examples(table: Checked, rule: Rule) -> tuple[dict[str, str | None], ...]:
    broken = table.rows.filter(table.rows[FLAG + rule.reason]).select(*table.columns).order_by("row")
    return rows_as_text(broken, rule.column)


def _write(engine: Backend, table: Checked, clean_dir: Path, quarantine_dir: Path) -> None:
    kept = table.kept.order_by([ibis.asc(key, nulls_first=True) for key in SORT_KEYS[table.name]])
    rows = table.rows.filter(table.rows.bad | table.rows.bot)
    rows = rows.mutate(reasons=ibis.ifelse(rows.bot, BOT, rows.reasons))
    shown = [column for column in table.columns if column not in ("row", "row_hash")]
    aside = rows.select("row", "reasons", *shown).order_by("row")
    for expression, directory in ((kept, clean_dir), (aside, quarantine_dir)):
        with atomic_write(directory / f"{table.name}.parquet") as temporary:
            write_expression(engine, expression, temporary)


def _refuse_unusable(report: QualityReport) -> None:
    events = report.tables["interactions"]
    if events.kept:
        return
    worst = events.worst
    why = (
        f"{worst.column} {worst.rule} in {worst.count:,}"
        if worst
        else f"all belong to users with over {report.maximum_daily_events:,} events a day"
    )
    raise DatasetError(f"Interactions of '{report.dataset}' hold no usable row among {events.rows:,}: {why}.")
