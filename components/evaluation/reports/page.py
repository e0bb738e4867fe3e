"""The evaluation as an HTML page: the gate's decision, NDCG@20 per method with its interval, then all tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from components.evaluation.gate.gate import FUNNEL, SERVED, GateDecision
from components.evaluation.reports.facts import (
    COLUMNS,
    OTHER_COLUMNS,
    SAME_SETTINGS,
    absent_methods,
    asked,
    capital,
    exposure_notes,
    order_notes,
    ordered_methods,
    other_rows,
    others,
    standing,
    time_scales,
)
from components.evaluation.reports.gallery_page import gallery_sections
from components.evaluation.reports.impressions import impression_sections
from components.evaluation.reports.models import model_sections
from components.evaluation.reports.slices import slice_sections, verdict
from feature_repo.pages.blocks import Tone, badge, code, fine, header, lead, page, panel, section, table, tiles
from feature_repo.pages.charts import Bar, Fill, bars
from feature_repo.pages.formats import number
from feature_repo.pages.markup import Markup, element

Measured = Sequence[tuple[str, Mapping[str, float]]]  # methods with their metrics, best first

BOOTSTRAP = "Bootstrap over users, days and items, each by itself; the widest interval counts"
NO_BREAK = "\N{NO-BREAK SPACE}"  # a narrow screen breaks the line before the interval, not within it
FILLS: Mapping[str, Fill] = {"funnel": "accent", "retrieval": "soft"}  # all other methods are baselines


def evaluation_page(content: Mapping[str, Any], decision: GateDecision | None) -> str:
    """The whole page.

    Args:
        content: Content of `evaluation.json`.
        decision: The gate's decision; None if the gate was not asked.
    """
    methods = ordered_methods(content)
    words = "Measured" if decision is None else capital(decision.verdict)
    return page(
        f"{words}: {content['dataset']}",
        _head(content, decision, words),
        _headline(content, methods),
        _comparison(content, methods, decision),
        section("Methods", _figures(methods), note="; ".join(": ".join(pair) for pair in absent_methods(content))),
        *_leads(content, decision),
        *_others(content),
        *_slices(content, methods),
        *slice_sections(content["slices"]),
        *model_sections(content.get("models", {})),
        *impression_sections(content),
        *gallery_sections(content.get("gallery", {})),
        *_details(content, methods),
    )


def _head(content: Mapping[str, Any], decision: GateDecision | None, words: str) -> Markup:
    about = f"Evaluation of {content['dataset']}" + ("" if decision is None else ": decision of the release gate")
    chosen = f"; {content['deciding']}" if content.get("deciding") else ""
    conditions = fine(f"{content['protocol']} protocol; {asked(content)}; the whole catalogue ranked{chosen}")
    if decision is None:
        return header(about, words, lead(f"{capital(standing(content))}."), conditions)
    tone = _tone(decision)
    evidence = badge(f"{decision.evidence} evidence", tone)
    return header(about, words, lead(evidence, f" {capital(decision.sentence)}."), conditions, tone=tone)


def _tone(decision: GateDecision) -> Tone:
    if decision.passed and decision.evidence == "strong":
        return "good"
    return "warn" if decision.release or decision.evidence == "weak" else "bad"


def _headline(content: Mapping[str, Any], methods: Measured) -> Markup:
    entries: list[tuple[str, str, Tone]] = [
        ("test users", f"{content['users']:,}", "plain"),
        ("items", f"{content['items']:,}", "plain"),
    ]
    entries += [
        ("funnel, NDCG@20", f"{figures['ndcg@20']:.4f}", "plain") for name, figures in methods if name == FUNNEL
    ]
    baselines = [figures["ndcg@20"] for name, figures in methods if name not in FILLS]
    if baselines:
        entries.append(("best baseline, NDCG@20", f"{max(baselines):.4f}", "plain"))
    return tiles(entries)


def _comparison(content: Mapping[str, Any], methods: Measured, decision: GateDecision | None) -> Markup:
    rows = []
    for name, figures in methods:
        low, high = content["intervals"][name]["ndcg@20"]
        interval = f"({low:.4f} to {high:.4f})".replace(" ", NO_BREAK)
        words = f"{figures['ndcg@20']:.4f} {interval}"
        rows.append(Bar(name, figures["ndcg@20"], words, (low, high), FILLS.get(name, "rest")))
    note = ". ".join([BOOTSTRAP, *exposure_notes(content), *order_notes(decision)])
    return section("NDCG@20 and its 95 % interval", panel(bars(rows)), note=f"{note}.")


def _leads(content: Mapping[str, Any], decision: GateDecision | None) -> list[Markup]:
    leads = content["leads"] if decision is None else {name: asdict(gap) for name, gap in decision.differences.items()}
    if not leads:
        return []
    rows = [
        (
            name,
            f"{gap['mean']:+.4f}",
            f"{gap['low']:+.4f} to {gap['high']:+.4f}",
            gap["unit"],
            verdict(gap["low"], gap["high"]),
        )
        for name, gap in leads.items()
    ]
    note = "Paired: all methods use the same draws."
    if content["protocol"] != "temporal" and any(name.startswith(f"{SERVED} ") for name in leads):
        note += " The served bundle is compared by the temporal protocol."
    against = table(("against", "lead", "95 % interval", "widest over", ""), rows, numeric=(1, 2))
    return [section("Lead of the funnel in NDCG@20", against, note=note)]


def _others(content: Mapping[str, Any]) -> list[Markup]:
    return [
        section(
            f"Also measured: {name} protocol",
            table(OTHER_COLUMNS, other_rows(other), numeric=range(1, len(OTHER_COLUMNS))),
            note=f"{other['users']:,} users, {other['queries']:,} queries; {SAME_SETTINGS}.",
        )
        for name, other in others(content)
    ]


def _slices(content: Mapping[str, Any], methods: Measured) -> list[Markup]:
    parts = []
    for name, part in content["slices"].items():
        if part["users"] and "group" not in part:
            measured = [(method, part["methods"][method]) for method, _ in methods if method in part["methods"]]
            parts.append(section(f"Slice {name}", _figures(measured), note=f"{part['users']:,} users"))
    return parts


def _details(content: Mapping[str, Any], methods: Measured) -> list[Markup]:
    details = content["details"]
    names = [name for name, _ in methods if name in details]
    rows = [(name, f"{details[name]['novelty@10']:.2f}", f"{details[name]['gini@10']:.3f}") for name in names]
    parts = [
        section(
            "Novelty and concentration",
            table(("method", "novelty@10, bits", "Gini@10"), rows, numeric=(1, 2)),
            note="Novelty is the mean self-information of the listed items; a Gini of 1 lists one item for all.",
        )
    ]
    categories: Mapping[str, Any] = next(
        (details[name]["categories"] for name in names if "categories" in details[name]), {}
    )
    if categories:
        lines = [
            (
                category,
                number(entry["users"]),
                *(f"{details[name]['categories'].get(category, {}).get('hr@10', 0.0):.4f}" for name in names),
            )
            for category, entry in categories.items()
        ]
        hits = table(("category", "users", *names), lines, numeric=range(1, len(names) + 2))
        parts.append(section("Hit rate at 10 by category", hits, note="Among users with a relevant item of it."))
    if content.get("time_scales"):
        parts.append(
            section(
                "Time scales",
                table(("figure", "value"), time_scales(content["time_scales"]), numeric=(1,)),
                note="Measured once at ingest; cadence, windows, half-life and horizon follow from them.",
            )
        )
    if content.get("settings"):
        chosen = [(name, code(settings)) for name, settings in content["settings"].items()]
        parts.append(section("Settings chosen on validation", table(("method", "settings"), chosen)))
    return parts


def _figures(methods: Measured) -> Markup:
    rows = [
        (element("b", name) if name == FUNNEL else name, *(f"{figures[column]:.4f}" for column in COLUMNS))
        for name, figures in methods
    ]
    return table(("method", *COLUMNS), rows, numeric=range(1, len(COLUMNS) + 1))
