"""One self-contained HTML page: headline tiles, tables, badges and small SVG charts.

Owns how reports of this step look. Standard library only, so that the row rules and the TFDV statistics, which live
in two environments, share it. Refuses scripts, fonts and links from elsewhere: the page shows itself without a network.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
:root{--ink:#1c2430;--soft:#5d6878;--line:#e3e7ed;--bar:#4c78a8;--bad:#c0392b;--warn:#b7791f;--good:#23784a}
*{box-sizing:border-box}body{margin:0 auto;padding:28px 32px 60px;max-width:1180px;background:#fff;color:var(--ink);
font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
h1{font-size:22px;margin:0}h2{font-size:16px;margin:34px 0 8px;border-bottom:1px solid var(--line);padding-bottom:6px}
p{margin:4px 0 10px;color:var(--soft)}.tiles{display:flex;flex-wrap:wrap;gap:12px;margin:18px 0}
.tile{border:1px solid var(--line);border-left:5px solid var(--line);border-radius:6px;padding:10px 16px;
min-width:150px}
.tile b{display:block;font-size:22px;line-height:1.3}.tile span{color:var(--soft);font-size:12px}
.tile.good{border-left-color:var(--good)}.tile.warn{border-left-color:var(--warn)}.tile.bad{border-left-color:var(--bad)}
.tile.bad b{color:var(--bad)}.tile.good b{color:var(--good)}
table{border-collapse:collapse;width:100%;margin:6px 0 12px}th{font-size:12px;color:var(--soft);font-weight:600;
text-align:left}th,td{padding:6px 18px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
td.num,th.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.badge{display:inline-block;border-radius:10px;padding:0 9px;font-size:12px;background:#edf0f4;white-space:nowrap}
.badge.good{background:#dff3e6;color:var(--good)}.badge.warn{background:#fdf1d7;color:var(--warn)}
.badge.bad{background:#fbe3e0;color:var(--bad)}code,.code{font:12px/1.5 ui-monospace,Menlo,Consolas,monospace}
.code{color:var(--soft);margin-bottom:4px;
overflow-wrap:anywhere}.code i{font-style:normal;color:var(--bad);font-weight:600}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(264px,1fr));gap:12px}
.card{border:1px solid var(--line);border-radius:6px;padding:10px 12px;overflow:hidden}.card h3{font-size:13px;
margin:0 0 2px;overflow-wrap:anywhere}.card .facts{font-size:12px;color:var(--soft);margin-bottom:6px}
.value{display:grid;grid-template-columns:96px 1fr 46px;gap:6px;font-size:12px;align-items:center}
.value span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.value .num{text-align:right;color:var(--soft)}
.track{background:#f1f3f6;height:9px;border-radius:2px}.track div{background:var(--bar);height:9px;border-radius:2px}
svg{display:block;width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#5d6878}
.legend{font-size:12px;color:var(--soft);margin:2px 0 0}.legend i{display:inline-block;width:10px;height:10px;
margin:0 4px 0 12px;border-radius:2px}
"""


class Markup(str):
    """Text that is HTML already and is not escaped again."""


@dataclass(frozen=True, slots=True)
class DayBar:
    """One day of the volume chart: rows kept, bad and of bots, and whether the day is a spike."""

    day: str
    kept: int
    bad: int = 0
    bots: int = 0
    spike: bool = False

    @property
    def rows(self) -> int:
        return self.kept + self.bad + self.bots


def text(value: object) -> Markup:
    """`value` escaped, unless it is markup."""
    return value if isinstance(value, Markup) else Markup(escape(str(value)))


def number(value: float | int | None) -> str:
    """A number as a person reads it: grouped integers, four significant digits, `-` where missing."""
    if value is None or value != value:
        return "-"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def percent(share: float) -> str:
    """A share in [0, 1] as a percentage that never rounds a part up to the whole."""
    shown = f"{share * 100:.2f}".rstrip("0").rstrip(".")
    return (
        "99.99+ %" if shown == "100" and share < 1 else "under 0.01 %" if shown == "0" and share > 0 else f"{shown} %"
    )


def badge(label: str, tone: str = "plain") -> Markup:
    """A short label on a tinted ground; `tone` is plain, good, warn or bad."""
    return Markup(f'<span class="badge {tone}">{escape(label)}</span>')


def tiles(entries: Iterable[tuple[str, str, str]]) -> Markup:
    """Headline figures: (label, value, tone) each."""
    cells = "".join(
        f'<div class="tile {tone}"><b>{text(value)}</b><span>{text(label)}</span></div>'
        for label, value, tone in entries
    )
    return Markup(f'<div class="tiles">{cells}</div>')


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], numeric: Sequence[int] = ()) -> Markup:
    """A table; `numeric` names the columns set to the right."""
    kind = [' class="num"' if index in numeric else "" for index in range(len(headers))]
    head = "".join(f"<th{kind[index]}>{text(header)}</th>" for index, header in enumerate(headers))
    body = "".join(
        "<tr>" + "".join(f"<td{kind[index]}>{text(cell)}</td>" for index, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return Markup(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def section(heading: str, *body: object, note: str = "") -> Markup:
    """A heading, a note below it, then the body."""
    explained = f"<p>{text(note)}</p>" if note else ""
    return Markup(f"<h2>{text(heading)}</h2>{explained}{''.join(text(part) for part in body)}")


def cards(entries: Iterable[Markup]) -> Markup:
    """Cards in as many columns as fit."""
    return Markup(f'<div class="cards">{"".join(entries)}</div>')


def card(heading: object, facts: object, *body: object) -> Markup:
    """One column of a table: its name, facts in a line, and a drawing."""
    drawn = "".join(text(part) for part in body)
    return Markup(f'<div class="card"><h3>{text(heading)}</h3><div class="facts">{text(facts)}</div>{drawn}</div>')


def top_values(entries: Sequence[tuple[str, float]]) -> Markup:
    """Horizontal bars of the most frequent values: (value, share of the rows) each, most frequent first."""
    widest = max((share for _, share in entries), default=1.0) or 1.0
    rows = "".join(
        f'<div class="value"><span title="{escape(value)}">{escape(value)}</span>'
        f'<div class="track"><div style="width:{100 * share / widest:.1f}%"></div></div>'
        f'<span class="num">{share * 100:.1f} %</span></div>'
        for value, share in entries
    )
    return Markup(f"<div>{rows}</div>")


def histogram(edges: Sequence[float], weights: Sequence[float], ends: tuple[float, float] | None = None) -> Markup:
    """Bars of equal drawn width, [n] weights between [n + 1] edges, `ends` (the outermost edges) written below."""
    first, last = ends or (edges[0], edges[-1])
    width, height = 240.0, 64.0
    highest = max(weights, default=0.0) or 1.0
    step = width / max(len(weights), 1)
    bars = "".join(
        f'<rect x="{index * step:.1f}" y="{height - height * weight / highest:.1f}" width="{max(step - 1, 0.5):.1f}" '
        f'height="{height * weight / highest:.1f}" fill="#4c78a8"><title>{number(edges[index])} to '
        f"{number(edges[index + 1])}: {weight * 100:.1f} %</title></rect>"
        for index, weight in enumerate(weights)
    )
    return Markup(
        f'<svg viewBox="0 0 {width:.0f} {height + 16:.0f}" role="img">{bars}'
        f'<line x1="0" y1="{height}" x2="{width:.0f}" y2="{height}" stroke="#c8ced8"/>'
        f'<text x="0" y="{height + 13}">{number(first)}</text>'
        f'<text x="{width:.0f}" y="{height + 13}" text-anchor="end">{number(last)}</text></svg>'
    )


def daily_chart(days: Sequence[DayBar]) -> Markup:
    """Rows by day, stacked kept / bad / bots, spikes marked; days without rows stand as gaps."""
    width, height, top, left = 1100.0, 150.0, 18.0, 52.0
    highest = max((day.rows for day in days), default=1) or 1
    step = (width - left) / max(len(days), 1)
    bar = max(step - (1 if step > 3 else 0), 0.6)
    drawn: list[str] = []
    for share in (0.0, 0.5, 1.0):
        y = top + height * (1 - share)
        drawn.append(f'<line x1="{left}" y1="{y}" x2="{width}" y2="{y}" stroke="#e3e7ed"/>')
        drawn.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{number(round(highest * share))}</text>')
    for index, day in enumerate(days):
        x, base = left + index * step, top + height
        for rows, colour in ((day.kept, "#4c78a8"), (day.bots, "#b7791f"), (day.bad, "#c0392b")):
            size = height * rows / highest
            base -= size
            if rows:
                drawn.append(
                    f'<rect x="{x:.1f}" y="{base:.1f}" width="{bar:.1f}" height="{size:.1f}" fill="{colour}">'
                    f"<title>{day.day}: {day.kept:,} kept, {day.bad:,} bad, {day.bots:,} of bots</title></rect>"
                )
        if day.spike:
            drawn.append(
                f'<text x="{x + bar / 2:.1f}" y="{base - 4:.1f}" text-anchor="middle">&#9650; {day.day[5:]}</text>'
            )
    if days:
        drawn.append(f'<text x="{left}" y="{top + height + 16}">{days[0].day}</text>')
        drawn.append(f'<text x="{width}" y="{top + height + 16}" text-anchor="end">{days[-1].day}</text>')
    legend = (
        '<div class="legend"><i style="background:#4c78a8"></i>kept<i style="background:#b7791f"></i>bots'
        '<i style="background:#c0392b"></i>bad &nbsp; &#9650; spike</div>'
    )
    return Markup(f'<svg viewBox="0 0 {width:.0f} {top + height + 22:.0f}" role="img">{"".join(drawn)}</svg>{legend}')


def page(title: str, subtitle: str, *body: object) -> str:
    """The whole page as text."""
    content = "".join(text(part) for part in body)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1><p>{text(subtitle)}</p>{content}</body></html>\n"
    )
