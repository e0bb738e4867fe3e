"""The evaluation as text: an aligned table for the terminal, and Markdown for the pipeline's UI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.evaluation.gate.gate import FUNNEL, GateDecision
from components.evaluation.reports.facts import (
    COLUMNS,
    OTHER_COLUMNS,
    SAME_SETTINGS,
    absent_methods,
    capital,
    exposure_notes,
    finding,
    order_notes,
    ordered_methods,
    other_rows,
    others,
)


def text_table(content: Mapping[str, Any], decision: GateDecision | None) -> str:
    """Methods by NDCG@20 with intervals as an aligned table, the funnel's lead over each, then the decision.

    Args:
        content: Content of `evaluation.json`.
        decision: The gate's decision; None if the gate was not asked: the last line is then `finding`.
    """
    headers = ["method", "NDCG@20", "95 % interval", *COLUMNS[1:], "funnel is ahead by"]
    rows = [headers]
    for name, figures in ordered_methods(content):
        low, high = content["intervals"][name]["ndcg@20"]
        lead = content["leads"].get(name)
        rows.append(
            [
                name,
                f"{figures['ndcg@20']:.4f}",
                f"{low:.4f}-{high:.4f}",
                *(f"{figures[column]:.4f}" for column in COLUMNS[1:]),
                "" if lead is None else _lead(lead),
            ]
        )
    lines = [
        f"{content['dataset']}, {content['protocol']} protocol: {content['users']:,} users, {content['items']:,} items"
    ]
    lines += _aligned(rows)
    lines += [f"  {name}: absent, {reason}" for name, reason in absent_methods(content)]
    lines += [f"  {note}" for note in [*exposure_notes(content), *order_notes(decision)]]
    for name, other in others(content):
        lines.append(f"  also measured, {name} protocol: {other['users']:,} users; {SAME_SETTINGS}")
        lines += _aligned([OTHER_COLUMNS, *other_rows(other)])
    lines += [f"  {content['deciding']}"] if content.get("deciding") else []
    lines.append(finding(content) if decision is None else f"{decision.sentence} (evidence: {decision.evidence})")
    return "\n".join(lines)


def markdown(content: Mapping[str, Any], decision: GateDecision | None) -> str:
    """The same content as Markdown."""
    head = ["method", "NDCG@20", "95 % interval", "HR@10", "Recall@100", "coverage@10"]
    lines = [
        f"# {content['dataset']}: {content['protocol']} protocol",
        f"{content['users']:,} users, {content['items']:,} items",
        "",
        "| " + " | ".join(head) + " |",
        "|---" * len(head) + "|",
    ]
    for name, figures in ordered_methods(content):
        low, high = content["intervals"][name]["ndcg@20"]
        cells = [name, f"{figures['ndcg@20']:.4f}", f"{low:.4f} to {high:.4f}"]
        cells += [f"{figures[column]:.4f}" for column in ("hr@10", "recall@100", "coverage@10")]
        strong = "**" if name == FUNNEL else ""
        lines.append("| " + " | ".join(f"{strong}{cell}{strong}" for cell in cells) + " |")
    lines += ["", *(f"- {name} is absent: {reason}" for name, reason in absent_methods(content))]
    lines += [f"- {note}" for note in [*exposure_notes(content), *order_notes(decision)]]
    for name, other in others(content):
        lines += ["", f"## Also measured: {name} protocol", f"{other['users']:,} users; {SAME_SETTINGS}", ""]
        rows = [OTHER_COLUMNS, ["---"] * len(OTHER_COLUMNS), *other_rows(other)]
        lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", f"{capital(content['deciding'])}."] if content.get("deciding") else []
    if decision is None:
        lines += ["", f"{capital(finding(content))}."]
    else:
        lines += ["", f"**{capital(decision.sentence)}.** Evidence: {decision.evidence}."]
    return "\n".join(lines) + "\n"


def _lead(lead: Mapping[str, Any]) -> str:
    return f"{lead['mean']:+.4f} ({lead['low']:+.4f} to {lead['high']:+.4f}, {lead['unit']})"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of equal width; the first is aligned left, figures are aligned right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
