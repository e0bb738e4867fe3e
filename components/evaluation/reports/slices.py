"""Shows on the evaluation page where the funnel is better or worse than the best baseline."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from components.evaluation.gate.gate import FUNNEL
from components.evaluation.slices import FEWEST_USERS
from feature_repo.pages.blocks import Tone, badge, section, table
from feature_repo.pages.formats import number
from feature_repo.pages.markup import Markup


def slice_sections(slices: Mapping[str, Mapping[str, Any]]) -> list[Markup]:
    """A section for each group of compared parts in `slices` of `evaluation.json`; none if all parts are too small."""
    compared = [(name, part) for name, part in slices.items() if "group" in part]
    parts = []
    for group, entries in groupby(compared, key=lambda entry: entry[1]["group"]):
        shown: list[tuple[str, Mapping[str, Any]]] = []
        left_out: list[str] = []
        for name, part in entries:
            short = name.removeprefix(f"{group}: ")
            if part["methods"]:
                shown.append((short, part))
            else:
                left_out.append(f"{short} ({number(part['users'])})")
        if shown:
            parts.append(section(f"NDCG@20 by {group}", _table(shown), note=_note(shown, left_out)))
    return parts


def verdict(low: float, high: float) -> Markup:
    """What an interval of a difference says about the funnel."""
    words: tuple[str, Tone] = ("no difference shown", "plain")
    if low > 0:
        words = ("ahead", "good")
    elif high < 0:
        words = ("behind", "bad")
    return badge(*words)


def _table(shown: list[tuple[str, Mapping[str, Any]]]) -> Markup:
    methods, against = list(shown[0][1]["methods"]), shown[0][1]["against"]
    columns = ("part", "users", *methods, f"{FUNNEL} less {against}", "95 % interval", "widest over", "")
    rows = [
        (
            name,
            number(part["users"]),
            *(f"{part['methods'][method]['ndcg@20']:.4f}" for method in methods),
            f"{part['lead']['mean']:+.4f}",
            f"{part['lead']['low']:+.4f} to {part['lead']['high']:+.4f}",
            part["lead"]["unit"],
            verdict(part["lead"]["low"], part["lead"]["high"]),
        )
        for name, part in shown
    ]
    return table(columns, rows, numeric=range(1, len(methods) + 4))


def _note(shown: list[tuple[str, Mapping[str, Any]]], left_out: list[str]) -> str:
    defined = [f"{name}: {part['about']}" for name, part in shown if part["about"]]
    notes = ["; ".join(defined)] if defined else []
    if left_out:
        notes.append(f"Parts with fewer than {FEWEST_USERS} users are left out: {', '.join(left_out)}")
    return ". ".join(notes)
