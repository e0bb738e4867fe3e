"""The building blocks of a report: page, header, sections, tiles, tables, cards and badges.

Every block takes text or markup and returns markup; the blocks escape text. A page is a single file that needs no
network: it has no scripts, fonts, images or links. `style` defines how blocks look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from feature_repo.pages.markup import Markup, element, escaped, joined
from feature_repo.pages.style import STYLE

Tone = Literal["plain", "good", "warn", "bad"]


def page(title: str, head: Markup, *body: object) -> str:
    """The whole page as text.

    Args:
        title: Title of the browser's tab.
        head: The `header`.
        body: Blocks below it, in order.
    """
    about = [
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(STYLE)),
    ]
    whole = element("html", element("head", *about), element("body", head, element("main", *body)), lang="en")
    return f"<!doctype html>{whole}\n"


def header(about: str, verdict: str, *lines: Markup, tone: Tone = "plain") -> Markup:
    """The head of a page: the subject of the report, its verdict in large letters, and lines that explain it."""
    inner = [element("p", about, class_="about"), element("h1", verdict), *lines]
    return element("header", element("div", *inner), class_=tone)


def lead(*content: object) -> Markup:
    """The first sentence of a header."""
    return element("p", *content, class_="lead")


def fine(*content: object) -> Markup:
    """A paragraph in small print: conditions of a measurement, definitions."""
    return element("p", *content, class_="fine")


def notice(*content: object, tone: Tone = "plain") -> Markup:
    """A paragraph that stands out from the text around it."""
    return element("p", *content, class_=f"notice {tone}")


def section(heading: object, *body: object, note: object = "") -> Markup:
    """A heading, a note below it, then the body."""
    explained = element("p", note, class_="note") if note else ""
    return element("section", element("h2", heading), explained, *body)


def panel(*content: object, columns: bool = False) -> Markup:
    """A white box; `columns` sets two blocks next to each other if the screen is wide enough."""
    return element("div", *content, class_="panel two" if columns else "panel")


def tiles(entries: Iterable[tuple[object, object, Tone]]) -> Markup:
    """Headline figures: (label, value, tone) each."""
    return element(
        "div",
        *(
            element("div", element("b", value), element("span", label), class_=f"tile {tone}")
            for label, value, tone in entries
        ),
        class_="tiles",
    )


def facts(entries: Mapping[str, object]) -> Markup:
    """Values by name, one per line."""
    return element("dl", *(joined([element("dt", name), element("dd", value)]) for name, value in entries.items()))


def table(headers: Sequence[object], rows: Iterable[Sequence[object]], numeric: Sequence[int] = ()) -> Markup:
    """A table; the columns with an index in `numeric` are aligned right. A narrow screen scrolls the table sideways."""
    kinds = ["num" if column in numeric else "" for column in range(len(headers))]

    def line(kind: str, cells: Sequence[object]) -> Markup:
        return element("tr", *(element(kind, cell, class_=name) for cell, name in zip(cells, kinds, strict=True)))

    head, body = line("th", headers), (line("td", row) for row in rows)
    return element("div", element("table", element("thead", head), element("tbody", *body)), class_="table")


def badge(label: str, tone: Tone = "plain") -> Markup:
    """A short label on a tinted background."""
    return element("span", label, class_=f"badge {tone}")


def code(value: object) -> Markup:
    """A name or a value in a monospaced font."""
    return element("code", value)


def record(values: Mapping[str, object], marked: str = "", prefix: Sequence[str] = ()) -> Markup:
    """A row of a table as `name=value` pairs, after the words of `prefix`; the pair of `marked` is highlighted."""
    pairs = {name: f"{name}={value}" for name, value in values.items()}
    shown = [element("b", pair) if name == marked else escaped(pair) for name, pair in pairs.items()]
    return element("div", joined([*prefix, *shown], " · "), class_="code")


def card(heading: object, subtitle: object, *body: object, tone: Tone = "plain") -> Markup:
    """A column of a table or a feature: its name, facts in a line, and a chart."""
    return element(
        "article", element("h3", heading), element("p", subtitle, class_="facts"), *body, class_=f"card {tone}"
    )


def cards(entries: Iterable[Markup], *, large: bool = False) -> Markup:
    """Cards in as many columns as fit; `large` cards are wider and show their tone at the left edge."""
    return element("div", *entries, class_="cards large" if large else "cards")
