"""Reads the tags of a page."""

from __future__ import annotations

from html.parser import HTMLParser


class TagReader(HTMLParser):
    """Attributes of all tags, and the tags that are still open; a tag closed out of order is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read_tags(text: str) -> TagReader:
    """The tags of a page."""
    reader = TagReader()
    reader.feed(text)
    reader.close()
    return reader
