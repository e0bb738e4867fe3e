"""What was measured, for people: a table for the terminal, Markdown, and a page with a chart that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from components.evaluation.gate.gate import FUNNEL, Decision
from components.validation.pages.page import Markup, badge, number, page, section, table, tiles

COLUMNS = ("ndcg@20", "ndcg@10", "hr@10", "map@10", "recall@20", "recall@100", "recall@300", "coverage@10")
_MARK = {"funnel": "#23784a", "retrieval": "#7fb095"}
_BAR = "#4c78a8"


def text_table(content: Mapping[str, Any], decision: Decision | None) -> str:
    """Methods by NDCG@20 with intervals, aligned, the funnel's lead over each, then the decision.

    Args:
        content: Content of `evaluation.json`.
        decision: The gate's, None where it was not asked: the last line is then `finding`.
    """
    headers = ["method", "NDCG@20", "95 % interval", *COLUMNS[1:], "funnel is ahead by"]
    rows = [headers]
    for name, figures in _ordered(content):
        low, high = content["intervals"][name]["ndcg@20"]
        lead = content["leads"].get(name)
        rows.append(
            [
                name,
                f"{figures['ndcg@20']:.4f}",
                f"{low:.4f}-{high:.4f}",
                *(f"{figures[column]:.4f}" for column in COLUMNS[1:]),
                "" if lead is None else f"{lead['mean']:+.4f} ({lead['low']:+.4f} to {lead['high']:+.4f})",
            ]
        )
    lines = [
        f"{content['dataset']}, {content['protocol']} protocol: {content['users']:,} users, {content['items']:,} items"
    ]
    lines += _aligned(rows)
    lines += [f"  {name}: absent, {reason}" for name, reason in _absent(content)]
    lines += [f"  {told}" for told in _exposure(content)]
    lines.append(finding(content) if decision is None else f"{decision.sentence} (evidence: {decision.evidence})")
    return "\n".join(lines)


def finding(content: Mapping[str, Any]) -> str:
    """Where the funnel stands among the methods, in a sentence; it says nothing of a release."""
    leads: Mapping[str, Mapping[str, float]] = content["leads"]
    if FUNNEL not in content["intervals"]:
        return "measured: nobody could be asked"
    groups = {
        "above": [name for name, lead in leads.items() if lead["low"] > 0],
        "below": [name for name, lead in leads.items() if lead["high"] < 0],
        "not shown to differ from": [name for name, lead in leads.items() if lead["low"] <= 0 <= lead["high"]],
    }
    told = "; ".join(f"{words} {', '.join(names)}" for words, names in groups.items() if names)
    start = f"measured: funnel's NDCG@20 is {content['methods'][FUNNEL]['ndcg@20']:.4f} over {content['users']:,} users"
    return f"{start}; {told}" if told else start


def markdown(content: Mapping[str, Any], decision: Decision | None) -> str:
    """The same for the pipeline's UI."""
    head = ["method", "NDCG@20", "95 % interval", "HR@10", "Recall@100", "coverage@10"]
    lines = [
        f"# {content['dataset']}: {content['protocol']} protocol",
        f"{content['users']:,} users, {content['items']:,} items",
        "",
        "| " + " | ".join(head) + " |",
        "|---" * len(head) + "|",
    ]
    for name, figures in _ordered(content):
        low, high = content["intervals"][name]["ndcg@20"]
        cells = [name, f"{figures['ndcg@20']:.4f}", f"{low:.4f} to {high:.4f}"]
        cells += [f"{figures[column]:.4f}" for column in ("hr@10", "recall@100", "coverage@10")]
        strong = "**" if name == FUNNEL else ""
        lines.append("| " + " | ".join(f"{strong}{cell}{strong}" for cell in cells) + " |")
    lines += ["", *(f"- {name} is absent: {reason}" for name, reason in _absent(content))]
    lines += [f"- {told}" for told in _exposure(content)]
    if decision is None:
        lines += ["", f"{_capital(finding(content))}."]
    else:
        lines += ["", f"**{_capital(decision.sentence)}.** Evidence: {decision.evidence}."]
    return "\n".join(lines) + "\n"


def html(content: Mapping[str, Any], decision: Decision | None) -> str:
    """The page."""
    ordered = _ordered(content)
    absent = [f"{name}: {reason}" for name, reason in _absent(content)]
    parts: list[object] = []
    headline = [("test users", f"{content['users']:,}", ""), ("items", f"{content['items']:,}", "")]
    best = max((figures["ndcg@20"] for name, figures in ordered if name not in _MARK), default=None)
    for name, figures in ordered:
        if name == FUNNEL:
            headline.append(("funnel, NDCG@20", f"{figures['ndcg@20']:.4f}", ""))
    if best is not None:
        headline.append(("best baseline, NDCG@20", f"{best:.4f}", ""))
    if decision is not None:
        doubtful = decision.release or decision.evidence == "weak"
        tone = "warn" if doubtful else "bad"
        if decision.passed and decision.evidence == "strong":
            tone = "good"
        headline.append(("gate", decision.verdict, tone))
        parts.append(
            Markup(f"<p>{badge(decision.evidence + ' evidence', tone)} {escape(_capital(decision.sentence))}.</p>")
        )
    parts.insert(0, tiles(headline))
    chart = _chart([(name, figures["ndcg@20"], *content["intervals"][name]["ndcg@20"]) for name, figures in ordered])
    note = ". ".join(["Bootstrap over users; all methods drawn alike", *_exposure(content)])
    parts.append(section("NDCG@20 and its 95 % interval", chart, note=f"{note}."))
    parts.append(section("Methods", _figures(ordered), note="; ".join(absent)))
    leads = content["leads"] if decision is None else {name: asdict(gap) for name, gap in decision.differences.items()}
    if leads:
        rows = [
            (name, f"{gap['mean']:+.4f}", f"{gap['low']:+.4f} to {gap['high']:+.4f}", _verdict(gap["low"], gap["high"]))
            for name, gap in leads.items()
        ]
        against = table(("against", "lead", "95 % interval", ""), rows, numeric=(1, 2))
        parts.append(section("Lead of the funnel in NDCG@20", against, note="Paired by user."))
    for name, part in content["slices"].items():
        if not part["users"]:
            continue
        measured = [(method, part["methods"][method]) for method, _ in ordered if method in part["methods"]]
        parts.append(section(f"Slice {name}", _figures(measured), note=f"{part['users']:,} users"))
    parts += _details(content, ordered)
    subtitle = f"{content['protocol']} protocol; one query a user at the test start, the whole catalogue ranked"
    return page(f"Evaluation of {content['dataset']}", subtitle, *parts)


def _details(content: Mapping[str, Any], ordered: Sequence[tuple[str, Mapping[str, float]]]) -> list[Markup]:
    details = content["details"]
    names = [name for name, _ in ordered if name in details]
    rows = [(name, f"{details[name]['novelty@10']:.2f}", f"{details[name]['gini@10']:.3f}") for name in names]
    parts = [
        section(
            "Novelty and concentration",
            table(("method", "novelty@10, bits", "Gini@10"), rows, numeric=(1, 2)),
            note="Novelty is the mean self-information of what is listed; a Gini of 1 lists one item for all.",
        )
    ]
    wanted: Mapping[str, Any] = next(
        (details[name]["categories"] for name in names if "categories" in details[name]), {}
    )
    if wanted:
        lines = [
            (
                category,
                number(entry["users"]),
                *(f"{details[name]['categories'].get(category, {}).get('hr@10', 0.0):.4f}" for name in names),
            )
            for category, entry in wanted.items()
        ]
        hit = table(("category", "users", *names), lines, numeric=range(1, len(names) + 2))
        parts.append(section("Hit rate at 10 by category", hit, note="Among users with a relevant item of it."))
    if content.get("impressions"):
        judged = [(name, number(value)) for name, value in content["impressions"].items()]
        parts.append(section("On impressions", table(("figure", "value"), judged, numeric=(1,))))
    if content.get("settings"):
        settings = [(name, Markup(f"<code>{escape(str(told))}</code>")) for name, told in content["settings"].items()]
        parts.append(section("Settings chosen on validation", table(("method", "settings"), settings)))
    return parts


def _figures(rows: Sequence[tuple[str, Mapping[str, float]]]) -> Markup:
    cells = [
        (Markup(f"<b>{name}</b>") if name == FUNNEL else name, *(f"{figures[column]:.4f}" for column in COLUMNS))
        for name, figures in rows
    ]
    return table(("method", *COLUMNS), cells, numeric=range(1, len(COLUMNS) + 1))


def _chart(rows: Sequence[tuple[str, float, float, float]]) -> Markup:
    """Horizontal bars from zero with an interval each: (name, value, low, high)."""
    left, width, line = 90.0, 1000.0, 30.0
    furthest = max((high for *_, high in rows), default=1.0) or 1.0
    scale = (width - left - 200) / furthest
    drawn = []
    for place, (name, value, low, high) in enumerate(rows):
        y = place * line + 6
        middle = y + 9
        drawn.append(f'<text x="{left - 10}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>')
        drawn.append(
            f'<rect x="{left}" y="{y}" width="{value * scale:.1f}" height="18" rx="2" fill="{_MARK.get(name, _BAR)}"/>'
        )
        start, end = left + low * scale, left + high * scale
        drawn.append(
            f'<line x1="{start:.1f}" y1="{middle}" x2="{end:.1f}" y2="{middle}" stroke="#1c2430" stroke-width="1.5"/>'
        )
        drawn += [
            f'<line x1="{x:.1f}" y1="{middle - 4}" x2="{x:.1f}" y2="{middle + 4}" stroke="#1c2430" stroke-width="1.5"/>'
            for x in (start, end)
        ]
        drawn.append(f'<text x="{end + 8:.1f}" y="{middle + 4}">{value:.4f}  ({low:.4f} to {high:.4f})</text>')
    height = len(rows) * line + 10
    drawn.append(f'<line x1="{left}" y1="0" x2="{left}" y2="{height}" stroke="#c8ced8"/>')
    return Markup(f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img">{"".join(drawn)}</svg>')


def _ordered(content: Mapping[str, Any]) -> list[tuple[str, Mapping[str, float]]]:
    """Measured methods, best NDCG@20 first."""
    measured = [
        (name, figures)
        for name, figures in content["methods"].items()
        if "absent" not in figures and name in content["intervals"]
    ]
    return sorted(measured, key=lambda entry: -entry[1]["ndcg@20"])


def _exposure(content: Mapping[str, Any]) -> list[str]:
    """What a reader must know where users answered slates of an earlier release: none or one sentence."""
    share = content["from_slates"]
    if not share:
        return []
    return [
        f"{share:.0%} of what is right was taken from slates of earlier releases: that favours what is like them "
        "over other methods; it counts for neither where two bundles are compared"
    ]


def _absent(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, figures["absent"]) for name, figures in content["methods"].items() if "absent" in figures]


def _verdict(low: float, high: float) -> Markup:
    if low > 0:
        return badge("ahead", "good")
    return badge("behind", "bad") if high < 0 else badge("no difference shown")


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of equal width; the first to the left, figures to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
