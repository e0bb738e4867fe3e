"""The parser of requests, for which an offer to upgrade (h2c, WebSocket) is a header without a meaning.

RFC 9110 allows a server to ignore offers, and Java's HTTP client sends one with each request. httptools ends at the
head of such a request and would lose its body, so a second parser reads the body and the requests that follow.
"""

from __future__ import annotations

from typing import Any

import httptools

FRAMING = (b"content-length", b"transfer-encoding")  # headers that say where the body ends


class OfferParser:
    """Has the methods of httptools' parser that uvicorn calls, and passes its callbacks on to a protocol.

    CONNECT is not an offer: it raises `httptools.HttpParserUpgrade`, as in httptools.

    Args:
        protocol: Receives the callbacks `on_message_begin`, `on_url`, `on_header`, `on_headers_complete`, `on_body` and
            `on_message_complete`.
    """

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._framing: list[bytes] = []  # lines of the request's head that frame its body
        self._is_resuming = False  # the parser reads a head that the protocol has already received
        self._parser = self._new()

    def feed_data(self, data: bytes | memoryview) -> None:
        """Parses received bytes.

        Raises:
            httptools.HttpParserError: The bytes are not a request.
            httptools.HttpParserUpgrade: The request is a CONNECT.
        """
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                if self.get_method() == b"CONNECT":
                    raise
                data = memoryview(data)[offer.args[0] :]
                self._resume()
            else:
                return

    def should_upgrade(self) -> bool:
        """False: every offer is ignored."""
        return False

    def should_keep_alive(self) -> bool:
        """Whether the connection stays open after the request."""
        return bool(self._parser.should_keep_alive())

    def get_method(self) -> bytes:
        """The method of the request."""
        return bytes(self._parser.get_method())

    def get_http_version(self) -> str:
        """The version of the request, such as 1.1."""
        return str(self._parser.get_http_version())

    def on_message_begin(self) -> None:
        """Begins a request."""
        if not self._is_resuming:
            self._framing = []
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Takes a part of the URL."""
        if not self._is_resuming:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header or a trailer."""
        if not self._is_resuming:
            if name.lower() in FRAMING:
                self._framing.append(name + b": " + value + b"\r\n")
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        """Ends the head."""
        if not self._is_resuming:
            self._protocol.on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Takes a part of the body."""
        self._protocol.on_body(body)

    def on_message_complete(self) -> None:
        """Ends the request, unless the parser only skips its body because of an offer."""
        if not self._parser.should_upgrade() or self.get_method() == b"CONNECT":
            self._protocol.on_message_complete()

    def _new(self) -> Any:
        parser = httptools.HttpRequestParser(self)
        # As in uvicorn: bytes after a request with `Connection: close` must not make it a bad request.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _resume(self) -> None:
        """Continues behind the head of the request with a parser that has read the same head without the offer."""
        close = b"" if self.should_keep_alive() else b"Connection: close\r\n"
        head = b"%s / HTTP/1.1\r\n%s%s\r\n" % (self.get_method(), close, b"".join(self._framing))
        self._parser, self._is_resuming = self._new(), True
        self._parser.feed_data(head)
        self._is_resuming = False
