"""Builds HTML elements and escapes every piece of text exactly once.

All markup of the reports comes from `element`, so that no block can forget to escape. The whole package uses only the
standard library, because the TFDV environment imports it.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

VOID = frozenset({"line", "meta", "rect"})  # elements without content


class Markup(str):
    """Text that is already HTML and is not escaped again."""


def escaped(value: object) -> Markup:
    """`value` as escaped text, unless it is markup already."""
    return value if isinstance(value, Markup) else Markup(escape(str(value)))


def joined(parts: Iterable[object], separator: str = "") -> Markup:
    """The parts in order, each escaped unless it is markup, with `separator` between them."""
    return Markup(escape(separator).join(escaped(part) for part in parts))


def element(name: str, /, *content: object, **attributes: object) -> Markup:
    """One HTML or SVG element.

    Args:
        name: The tag.
        content: Text and markup inside, in order; elements in `VOID` have none.
        attributes: Values by name. A trailing underscore is dropped and other underscores become hyphens (`class_`,
            `aria_label`). Floats are written with two decimals. An attribute that is "" is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_attribute(value))}"'
        for key, value in attributes.items()
        if value != ""
    )
    if name in VOID:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{joined(content)}</{name}>")


def _attribute(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
