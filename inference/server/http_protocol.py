"""The server's HTTP/1.1 protocol: answers requests that never reach the application with a problem, without a log line.

uvicorn answers unreadable bytes with plain text and logs a warning for each of them, so that a port scanner floods the
log. Here such a request is counted, answered with a problem, and its connection is closed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from inference.api.problems import problem
from inference.server.http_parser import OfferParser

MAX_HEAD = 64 * 1024  # bytes of request line, headers and trailers; a cursor in the URL has up to 24,000
HEAD_TOO_LARGE = f"The request line and the headers have more than {MAX_HEAD} bytes; send a smaller request."
UNREADABLE = (
    "The request is not valid HTTP/1.1; percent-encode all characters of the URL outside ASCII, "
    "and check the request line, the headers and the length of the body."
)
# uvicorn's texts for requests that are counted and answered here.
QUIET_TEXTS = ("Invalid HTTP request received.", "Unsupported upgrade request.", "No supported WebSocket library")


class HeadTooLarge(Exception):
    """The request line and the headers exceed `MAX_HEAD`; raised in a callback of the parser, which then stops."""


class ProblemProtocol(HttpToolsProtocol):
    """A connection; offers to upgrade (h2c, WebSocket) are ignored, as RFC 9110 allows, and the answer is HTTP/1.1.

    Args:
        *args: Arguments of uvicorn's protocol.
        refused: Called with the status of each answer that the application did not make.
        **options: Options of uvicorn's protocol.
    """

    def __init__(self, *args: Any, refused: Callable[[int], None], **options: Any) -> None:
        super().__init__(*args, **options)
        self._refused = refused
        self._num_head = 0  # bytes of the head that the parser has passed on
        self._num_waiting = 0  # bytes of a head that is not complete, without the first part
        self._in_head = False
        self.parser = OfferParser(self)  # type: ignore[assignment]  # has the methods that uvicorn calls

    def data_received(self, data: bytes) -> None:
        """Parses received bytes; also bounds a head that never ends, which the parser collects in memory."""
        was_in_head = self._in_head
        super().data_received(data)
        if was_in_head and self._in_head and not self.transport.is_closing():
            self._num_waiting += len(data)
            if self._num_waiting > MAX_HEAD:
                self._num_head = self._num_waiting
                self.send_400_response("")

    def on_message_begin(self) -> None:
        """Begins a request."""
        self._num_head, self._num_waiting, self._in_head = 0, 0, True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Takes a part of the URL."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header or a trailer."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Starts the request in the application."""
        self._in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text for every cause
        """Answers bytes that are not a request, and closes the connection."""
        if not self._is_answering():
            answer = problem(431, HEAD_TOO_LARGE) if self._num_head > MAX_HEAD else problem(400, UNREADABLE)
            self._refused(answer.status_code)
            self.transport.write(_message(answer))
        self.transport.close()

    def _is_answering(self) -> bool:
        """Whether a part of a response is already sent."""
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete

    def _count(self, num: int) -> None:
        self._num_head += num
        if self._num_head > MAX_HEAD:
            raise HeadTooLarge


def configure(config: Any, refused: Callable[[int], None]) -> None:
    """Makes a server use this protocol, and no other on the same port.

    Args:
        config: Configuration of the uvicorn server, before it starts.
        refused: Called with the status of each answer that the application did not make.
    """
    config.http = partial(ProblemProtocol, refused=refused)
    config.ws = "none"
    logging.getLogger("uvicorn.error").addFilter(lambda record: not str(record.msg).startswith(QUIET_TEXTS))


def _message(answer: Response) -> bytes:
    """The bytes of a response, after which the connection closes."""
    headers = [*answer.raw_headers, (b"connection", b"close")]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return STATUS_LINE[answer.status_code] + lines + b"\r\n" + bytes(answer.body)
