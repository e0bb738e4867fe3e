"""The pagination cursor: which items a client has been shown, kept by the client.

A cursor is opaque text for the client and holds item ids, so it survives a new bundle and any replica can continue a
feed. It is bound to user, surface and seed. The server keeps nothing. It is bounded: a feed ends after
`MAX_ITEMS` items.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib

from feature_repo.errors import RequestError

MAX_ITEMS = 400
MAX_LENGTH = 24_000  # characters; 400 ids of 36 characters that do not compress take 20,000
MAX_BYTES = 256 * 1024
_VERSION = b"1"
_BINDING_BYTES = 8


def encode(shown: list[str], user_id: str, surface: str, item_id: str | None) -> str | None:
    """The cursor after these items, None where the feed has reached its end."""
    if len(shown) >= MAX_ITEMS:
        return None
    text = "\n".join(shown).encode()
    packed = _VERSION + _binding(user_id, surface, item_id) + zlib.compress(text, 6)
    encoded = base64.urlsafe_b64encode(packed).rstrip(b"=").decode()
    return encoded if len(encoded) <= MAX_LENGTH else None


def decode(cursor: str, user_id: str, surface: str, item_id: str | None) -> list[str]:
    """The items a cursor says were shown.

    Raises:
        RequestError: If it is damaged, or was given out for another user, surface or seed.
    """
    damaged = RequestError("The cursor is damaged; take it as the last answer gave it.", field="cursor")
    try:
        packed = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(packed[1 + _BINDING_BYTES :], MAX_BYTES)
        whole = unpacker.eof and not unpacker.unconsumed_tail and not unpacker.unused_data
        shown = text.decode().split("\n")
    except (ValueError, binascii.Error, zlib.error) as error:
        raise damaged from error
    if packed[:1] != _VERSION or not whole or len(shown) > MAX_ITEMS:
        raise damaged
    if packed[1 : 1 + _BINDING_BYTES] != _binding(user_id, surface, item_id):
        raise RequestError("The cursor belongs to another user, surface or item.", field="cursor")
    return shown


def _binding(user_id: str, surface: str, item_id: str | None) -> bytes:
    text = "\0".join((user_id, surface, item_id or ""))
    return hashlib.blake2b(text.encode(), digest_size=_BINDING_BYTES).digest()
