"""Bodies of requests: their size, their content coding, and their JSON.

A body is bounded before and after decompression. JSON is rejected if it holds what would be lost or cannot be echoed.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from typing import Any

from pydantic_core import from_json
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from feature_repo.errors import RequestError

MAX_BODY = 1 << 20  # bytes, after decompression; enough for tens of thousands of users
TOO_LARGE = f"The body has more than {MAX_BODY} bytes; split it into several requests."
GZIP, PLAIN = frozenset({"gzip", "x-gzip"}), frozenset({"", "identity"})
GZIP_WINDOW = 16 + zlib.MAX_WBITS  # zlib's code for the gzip format
MAX_MEMBERS = 1_000  # of a gzip body; each costs 10 us, and a body of empty members would block the server


def check_headers(scope: Scope) -> str:
    """Returns the content coding of a request, "" for none.

    Raises:
        HTTPException: 413 if the announced length is too large, 415 for a content coding other than gzip.
    """
    headers = Headers(scope=scope)
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_BODY:
        raise HTTPException(413, TOO_LARGE)
    coding = ", ".join(headers.getlist("content-encoding")).strip().lower()
    if coding in PLAIN:
        return ""
    if coding not in GZIP:
        said = f"The content coding {coding[:64]!r} is not supported; send the body with gzip, or without a coding."
        raise HTTPException(415, said, headers={"Accept-Encoding": "gzip"})
    return "gzip"


def bounded(receive: Receive, coding: str) -> Receive:
    """Returns a `receive` that decompresses the body and rejects a body of more than `MAX_BODY` bytes.

    Args:
        receive: Receives the messages of a request.
        coding: From `check_headers`.

    Raises:
        HTTPException: By the returned function: 413 for a large body, 400 for one that is not gzip.
    """
    num_received = num_read = 0  # bytes before and after decompression
    gunzip = _Gunzip() if coding else None

    async def receive_bounded() -> Message:
        nonlocal num_received, num_read
        message = await receive()
        if message["type"] == "http.request":
            content = message.get("body", b"")
            num_received += len(content)
            if num_received > MAX_BODY:
                raise HTTPException(413, TOO_LARGE)
            if gunzip is not None:
                content = gunzip.add(content, MAX_BODY - num_read + 1, last=not message.get("more_body", False))
                message = {**message, "body": content}
            num_read += len(content)
            if num_read > MAX_BODY:
                raise HTTPException(413, TOO_LARGE)
        return message

    return receive_bounded


def parsed_json(content: bytes) -> Any:
    """Parses JSON; rejects NaN, lone surrogates and repeated keys, because no table or response can keep them.

    Raises:
        RequestError: 400 if the content is not JSON, 422 if an object has a key twice.
    """
    try:
        parsed = from_json(content, allow_inf_nan=False)
    except ValueError as error:
        raise RequestError(f"The body is not JSON: {error}.", status=400) from error
    # `from_json` keeps the last of several values. Any number of digits is a float, which is not used.
    json.loads(content, object_pairs_hook=_refuse_twice, parse_int=float)
    return parsed


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        refuse_repeats([name for name, _ in pairs])


def refuse_repeats(names: list[str]) -> None:
    """Rejects names that are given more than once, because one of the values would be ignored.

    Raises:
        RequestError: A name is given more than once.
    """
    for name, times in Counter(names).items():
        if times > 1:
            raise RequestError(f"{name[:64]} is given {times} times; give it once.", field=name[:64])


class _Gunzip:
    """Decompresses the parts of a gzip body; it may have several members."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(GZIP_WINDOW)
        self._has_content = False
        self._num_members = 1

    def add(self, content: bytes, most: int, *, last: bool) -> bytes:
        """The decompressed bytes of the next part, at most `most` bytes.

        Raises:
            HTTPException: The content is not gzip, ends too early, or has too many members.
        """
        found = bytearray()
        self._has_content |= bool(content)
        try:
            while content and len(found) < most:
                if self._member.eof:
                    self._num_members += 1
                    if self._num_members > MAX_MEMBERS:
                        raise HTTPException(413, f"The gzip body has more than {MAX_MEMBERS:,} members; send one.")
                    self._member = zlib.decompressobj(GZIP_WINDOW)
                found += self._member.decompress(content, most - len(found))
                content = self._member.unconsumed_tail or self._member.unused_data
        except zlib.error as error:
            raise HTTPException(400, "The body is not in the gzip format that Content-Encoding names.") from error
        if last and self._has_content and not self._member.eof and len(found) < most:
            raise HTTPException(400, "The gzip body ends too early; send all of it.")
        return bytes(found)
