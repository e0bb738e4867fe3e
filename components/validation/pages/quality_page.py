"""The row rules' report as a page: the rate first, then what was put aside with examples, then what is unusual.

Owns the order and words of the page; looks are `page.py`'s and figures `report.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from components.validation.pages import page
from components.validation.pages.page import DayBar, Markup
from components.validation.report import DayVolume, Finding, QualityReport, TableQuality


def quality_page(report: QualityReport) -> str:
    """The whole page."""
    return page.page(
        f"Data quality of {report.dataset}",
        "Rows with a reason are in quarantine and not learned from. Only the rate of interactions is gated.",
        _headline(report),
        page.section("Tables", _tables(report)),
        *(_broken_rules(name, table) for name, table in report.tables.items() if table.bad),
        *(_volumes(name, days) for name, days in report.volumes.items() if days),
        *_bots(report),
        *_outliers(report),
        *_unmapped(report),
    )


def example(row: dict[str, str | None], column: str = "*") -> Markup:
    """One row as `name=value` pairs, the offending column first and in red."""
    parts = [f"row {row['row']}"] if "row" in row else []
    ordered = sorted((name for name in row if name != "row"), key=lambda name: name != column)
    for name in ordered:
        pair = page.text(f"{name}={'null' if row[name] is None else row[name]}")
        parts.append(f"<i>{pair}</i>" if name == column else pair)
    return Markup(f'<div class="code">{" · ".join(parts)}</div>')


def examples(rows: Sequence[dict[str, str | None]], column: str) -> Markup:
    """Several rows, one a line."""
    return Markup("".join(example(row, column) for row in rows))


def _headline(report: QualityReport) -> Markup:
    events = report.tables["interactions"]
    verdict = ("good", "passes") if report.passed else ("bad", "stops the run")
    entries = [
        (
            f"of interactions are clean: {verdict[1]}, minimum {page.percent(report.minimum_rate)}",
            page.percent(report.rate),
            verdict[0],
        ),
        (f"bad of {events.rows:,} interactions", f"{events.bad:,}", "warn" if events.bad else "plain"),
        (
            f"bots, {events.bots:,} of their events kept out",
            f"{report.num_bots:,}",
            "warn" if report.num_bots else "plain",
        ),
        ("spikes in daily volume", f"{len(report.spikes):,}", "warn" if report.spikes else "plain"),
    ]
    return page.tiles(entries)


def _tables(report: QualityReport) -> Markup:
    headers = ["Table", "Rows", "Bad", "Of bots", "Learned from", "Clean", "Most frequent fault"]
    rows = [
        (
            name,
            f"{table.rows:,}",
            f"{table.bad:,}",
            f"{table.bots:,}",
            f"{table.kept:,}",
            page.percent(table.rate),
            _fault(table.worst),
        )
        for name, table in report.tables.items()
    ]
    return page.table(headers, rows, numeric=(1, 2, 3, 4, 5))


def _fault(finding: Finding | None) -> str:
    return f"{_subject(finding)} {finding.rule}" if finding else "none"


def _subject(finding: Finding) -> str:
    return "the row" if finding.column == "*" else finding.column


def _broken_rules(name: str, table: TableQuality) -> Markup:
    broken = sorted((finding for finding in table.findings if finding.count), key=lambda finding: -finding.count)
    rows = [
        (
            page.badge(finding.reason, "bad"),
            f"{_subject(finding)} {finding.rule}",
            f"{finding.count:,}",
            page.percent(finding.count / table.rows),
            examples(finding.examples, finding.column),
        )
        for finding in broken
    ]
    passed = ", ".join(finding.reason for finding in table.findings if not finding.count)
    note = "A row may break several rules." + (f" No row breaks: {passed}." if passed else "")
    headers = ["Reason", "Rule", "Rows", "Share", "First rows"]
    return page.section(f"Put aside from {name}", page.table(headers, rows, numeric=(2, 3)), note=note)


def _volumes(name: str, days: Sequence[DayVolume]) -> Markup:
    first, last = date.fromisoformat(days[0].day), date.fromisoformat(days[-1].day)
    known = {day.day: day for day in days}
    bars = []
    for offset in range((last - first).days + 1):
        day = (first + timedelta(days=offset)).isoformat()
        found = known.get(day)
        bars.append(DayBar(day, found.kept, found.bad, found.bots, found.spike) if found else DayBar(day, 0))
    spikes = [
        f"{day.day} ({day.kept + day.bad + day.bots:,} rows, {day.score:.1f} sigmas)" for day in days if day.spike
    ]
    empty = len(bars) - len(days)
    note = f"{len(bars):,} days" + (f", {empty:,} of them without rows" if empty else "") + "."
    note += f" Spikes, kept but worth a look: {', '.join(spikes)}." if spikes else " No spikes."
    return page.section(f"Rows of {name} by day", page.daily_chart(bars), note=note)


def _bots(report: QualityReport) -> list[Markup]:
    if not report.num_bots:
        return []
    rows = [(bot.user_id, bot.day, f"{bot.events:,}") for bot in report.bots]
    users = "1 user" if report.num_bots == 1 else f"{report.num_bots:,} users"
    note = f"Over {report.maximum_daily_events:,} events in a day: {users}, the busiest first."
    table = page.table(["User", "Busiest day", "Events on it"], rows, numeric=(2,))
    return [page.section("Bots, kept out of training", table, note=note)]


def _outliers(report: QualityReport) -> list[Markup]:
    if not report.outliers:
        return []
    rows = [
        (
            f"{found.table}.{found.column}",
            f"{found.count:,}",
            f"{page.number(found.low)} to {page.number(found.high)}",
            f"{page.number(found.least)} to {page.number(found.greatest)}",
            examples(found.examples, found.column),
        )
        for found in report.outliers
    ]
    table = page.table(["Column", "Rows", "Usual", "Found", "Farthest"], rows, numeric=(1,))
    return [page.section("Outliers, flagged and kept", table, note="Numbers far from the rest of their column.")]


def _unmapped(report: QualityReport) -> list[Markup]:
    if not report.unmapped_event_types:
        return []
    rows = [(kind, f"{count:,}") for kind, count in report.unmapped_event_types.items()]
    note = "Neither an objective's nor negative: they stay as context and are not learned from as positives."
    return [page.section("Unmapped event types", page.table(["Event type", "Rows"], rows, numeric=(1,)), note=note)]
