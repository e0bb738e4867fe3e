"""The row rules' report as a page: the rate first, then quarantined rows with examples, then unusual values.

Decides the order and the words; `feature_repo.pages` draws them, and `report.py` holds the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from components.validation.report import DayVolume, Finding, QualityReport, TableQuality
from feature_repo.pages.blocks import badge, header, lead, page, panel, record, section, table, tiles
from feature_repo.pages.charts import DayBar, daily_bars
from feature_repo.pages.formats import number, percent
from feature_repo.pages.markup import Markup, joined


def quality_page(report: QualityReport) -> str:
    """The whole page."""
    verdict = "Clean enough to learn from"
    if report.rate < report.minimum_rate:
        verdict = "Too many bad rows: this stops the run"
    elif not report.passed:
        verdict = "Tables do not match: this stops the run"
    return page(
        f"{verdict}: {report.dataset}",
        header(
            f"Data quality of {report.dataset}",
            verdict,
            lead(
                "Rows with a reason are in quarantine and not learned from. "
                "The gate checks the rate of interactions and the joins."
            ),
            tone="good" if report.passed else "bad",
        ),
        _headline(report),
        *_warnings(report),
        section("Tables", _tables(report)),
        *_joins(report),
        *(_broken_rules(name, quality) for name, quality in report.tables.items() if quality.bad),
        *(_missing_values(name, quality) for name, quality in report.tables.items() if quality.has_missing_values),
        *(_volumes(name, days) for name, days in report.volumes.items() if days),
        *_bots(report),
        *_outliers(report),
        *_unmapped(report),
    )


def _examples(rows: Sequence[dict[str, str | None]], column: str) -> Markup:
    """Example rows, one a line: the row number, the pair of `column` in red, then the other pairs."""
    return joined(_example(row, column) for row in rows)


def _example(row: dict[str, str | None], column: str) -> Markup:
    ordered = sorted((name for name in row if name != "row"), key=lambda name: name != column)
    pairs = {name: "null" if row[name] is None else row[name] for name in ordered}
    return record(pairs, marked=column, prefix=[f"row {row['row']}"] if "row" in row else [])


def _headline(report: QualityReport) -> Markup:
    events = report.tables["interactions"]
    enough = report.rate >= report.minimum_rate
    gate = "passes" if enough else "stops the run"
    return tiles(
        [
            (
                f"of interactions are clean: {gate}, minimum {percent(report.minimum_rate)}",
                percent(report.rate),
                "good" if enough else "bad",
            ),
            (f"bad of {events.rows:,} interactions", f"{events.bad:,}", "warn" if events.bad else "plain"),
            (
                f"bots, {events.bots:,} of their events kept out",
                f"{report.num_bots:,}",
                "warn" if report.num_bots else "plain",
            ),
            ("spikes in daily volume", f"{len(report.spikes):,}", "warn" if report.spikes else "plain"),
        ]
    )


def _tables(report: QualityReport) -> Markup:
    headers = ["Table", "Rows", "Bad", "Of bots", "Learned from", "Clean", "Most frequent fault"]
    rows = [
        (
            name,
            f"{quality.rows:,}",
            f"{quality.bad:,}",
            f"{quality.bots:,}",
            f"{quality.kept:,}",
            percent(quality.rate),
            _fault(quality.worst),
        )
        for name, quality in report.tables.items()
    ]
    return table(headers, rows, numeric=(1, 2, 3, 4, 5))


def _warnings(report: QualityReport) -> list[Markup]:
    if not report.warnings:
        return []
    return [section("Warnings", table(["Implausible times"], [(warning,) for warning in report.warnings]))]


def _joins(report: QualityReport) -> list[Markup]:
    if not report.joins:
        return []
    rows = [
        (
            badge(join.name, "plain" if join.passed else "bad"),
            join.words,
            f"{join.matched:,}",
            f"{join.total:,}",
            percent(join.share),
            "over 0 %" if join.minimum is None else percent(join.minimum),
            join.example_words,
        )
        for join in report.joins
    ]
    headers = ["Join", "Rule", "Matched", "Of", "Share", "Minimum", "Examples"]
    note = "A join below its minimum stops the run; quality.minimum_<join> of dataset.toml sets the minimum."
    return [section("Joins", table(headers, rows, numeric=(2, 3, 4, 5)), note=note)]


def _fault(finding: Finding | None) -> str:
    return f"{_subject(finding)} {finding.rule}" if finding else "none"


def _subject(finding: Finding) -> str:
    return "the row" if finding.column == "*" else finding.column


def _broken_rules(name: str, quality: TableQuality) -> Markup:
    rules = [finding for finding in quality.findings if not finding.value_only]
    passed = ", ".join(finding.reason for finding in rules if not finding.count)
    note = "A row may break several rules." + (f" No row breaks: {passed}." if passed else "")
    return section(f"Put aside from {name}", _findings(rules, quality.rows), note=note)


def _missing_values(name: str, quality: TableQuality) -> Markup:
    found = [finding for finding in quality.findings if finding.value_only and finding.count]
    note = "The rows stay, without these values."
    return section(f"Values of {name} read as missing", _findings(found, quality.rows), note=note)


def _findings(findings: Sequence[Finding], num_rows: int) -> Markup:
    """The broken rules, most frequent first, with their first rows."""
    rows = [
        (
            badge(finding.reason, "warn" if finding.value_only else "bad"),
            f"{_subject(finding)} {finding.rule}",
            f"{finding.count:,}",
            percent(finding.count / num_rows),
            _examples(finding.examples, finding.column),
        )
        for finding in sorted(findings, key=lambda finding: -finding.count)
        if finding.count
    ]
    return table(["Reason", "Rule", "Rows", "Share", "First rows"], rows, numeric=(2, 3))


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
    return section(f"Rows of {name} by day", panel(daily_bars(bars)), note=note)


def _bots(report: QualityReport) -> list[Markup]:
    if not report.num_bots:
        return []
    rows = [(bot.user_id, bot.day, f"{bot.events:,}") for bot in report.bots]
    users = "1 user" if report.num_bots == 1 else f"{report.num_bots:,} users"
    note = f"Over {report.maximum_daily_events:,} events in a day: {users}, the busiest first."
    found = table(["User", "Busiest day", "Events on it"], rows, numeric=(2,))
    return [section("Bots, kept out of training", found, note=note)]


def _outliers(report: QualityReport) -> list[Markup]:
    if not report.outliers:
        return []
    rows = [
        (
            f"{found.table}.{found.column}",
            f"{found.count:,}",
            f"{number(found.low)} to {number(found.high)}",
            f"{number(found.least)} to {number(found.greatest)}",
            _examples(found.examples, found.column),
        )
        for found in report.outliers
    ]
    far = table(["Column", "Rows", "Usual", "Found", "Farthest"], rows, numeric=(1,))
    return [section("Outliers, flagged and kept", far, note="Numbers far from the rest of their column.")]


def _unmapped(report: QualityReport) -> list[Markup]:
    if not report.unmapped_event_types:
        return []
    rows = [(kind, f"{count:,}") for kind, count in report.unmapped_event_types.items()]
    note = "Neither an objective's nor negative: they stay as context and are not learned from as positives."
    return [section("Unmapped event types", table(["Event type", "Rows"], rows, numeric=(1,)), note=note)]
