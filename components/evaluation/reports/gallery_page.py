"""Shows the error gallery on the evaluation page: a card for each user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from components.evaluation.gate.gate import FUNNEL
from feature_repo.pages.blocks import Tone, badge, card, cards, section, table
from feature_repo.pages.formats import duration, moment, number
from feature_repo.pages.markup import Markup, joined

NOTE = (
    "First table: the items taken, the sources that found them, and their places in both lists. "
    "Second table: the beginnings of both lists."
)


def gallery_sections(gallery: Mapping[str, Any]) -> list[Markup]:
    """The sections for `gallery` of `evaluation.json`; none if it is empty or has no users."""
    kinds: Sequence[tuple[str, str, Tone]] = (("losses", "loses most to", "bad"), ("wins", "wins most over", "good"))
    parts = []
    for kind, words, tone in kinds:
        if gallery.get(kind):
            drawn = [_case(entry, gallery["against"], tone) for entry in gallery[kind]]
            heading = f"Users where the funnel {words} {gallery['against']}"
            parts.append(section(heading, cards(drawn, large=True), note=NOTE))
    return parts


def _case(entry: Mapping[str, Any], against: str, tone: Tone) -> Markup:
    mine, other = entry["ndcg@20"][FUNNEL], entry["ndcg@20"][against]
    about = (
        f"NDCG@20 {mine:.3f}, {against} {other:.3f}; asked {moment(entry['time'])}; earlier events: "
        f"{number(entry['num_events'])}; items taken: {number(entry['num_taken'])}"
    )
    return card(entry["user_id"], about, _taken(entry, against), _lists(entry, against), _history(entry), tone=tone)


def _taken(entry: Mapping[str, Any], against: str) -> Markup:
    rows = [
        (
            item["title"],
            ", ".join(item["sources"]) or _without_source(item["place"]),
            number(item["place"]),
            number(item["baseline_place"]),
        )
        for item in entry["taken"]
    ]
    more = entry["num_taken"] - len(rows)
    if more:
        rows.append((f"and {more} more", "", "", ""))
    return table(("taken", "found by", FUNNEL, against), rows, numeric=(2, 3))


def _without_source(place: int | None) -> Markup | str:
    """A list that filters have shortened is filled up with items that no source brought."""
    return badge("not among the candidates", "warn") if place is None else "filled up"


def _lists(entry: Mapping[str, Any], against: str) -> Markup:
    lists = entry["lists"]
    both = zip_longest(lists[FUNNEL], lists[against])
    rows = [(number(place), _listed(mine), _listed(other)) for place, (mine, other) in enumerate(both, 1)]
    return table(("", FUNNEL, against), rows, numeric=(0,))


def _listed(item: Mapping[str, Any] | None) -> Markup | str:
    if item is None:
        return "-"
    return joined([badge("taken", "good"), " ", item["title"]]) if item["hit"] else str(item["title"])


def _history(entry: Mapping[str, Any]) -> Markup:
    rows = [(item["title"], item["event"], duration(item["age"])) for item in entry["history"]]
    if not rows:
        rows = [("no earlier event", "", "")]
    return table(("newest history", "event", "age"), rows, numeric=(2,))
