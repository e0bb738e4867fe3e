"""The pagination cursor: the items that a client has seen, stored by the client.

A cursor is opaque text for the client. It holds item ids, so it stays valid under a new bundle, and any replica can
continue a feed. A cursor belongs to one user, surface and seed. The server stores nothing. A feed ends after
`MAX_ITEMS` items, which bounds the cursor's size; with long ids it ends where the cursor would exceed `MAX_LENGTH`.
Ids are joined by line breaks, which no id contains (`feature_repo/dataset/values.py`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib

from feature_repo.dataset.values import ID_LENGTH
from feature_repo.errors import RequestError

MAX_ITEMS = 400
MAX_LENGTH = 24_000  # characters; 400 ids of 36 characters that do not compress take 20,000
MAX_BYTES = MAX_ITEMS * (4 * ID_LENGTH + 1)  # unpacked; a character has at most four bytes
_VERSION = b"1"
_BINDING_BYTES = 8


def encode(shown: list[str], user_id: str, surface: str, item_id: str | None) -> str | None:
    """Returns the cursor after these items, None at the end of the feed."""
    if len(shown) >= MAX_ITEMS:
        return None
    text = "\n".join(shown).encode()
    packed = _VERSION + _binding(user_id, surface, item_id) + zlib.compress(text, 6)
    encoded = base64.urlsafe_b64encode(packed).rstrip(b"=").decode()
    return encoded if len(encoded) <= MAX_LENGTH else None


def decode(cursor: str, user_id: str, surface: str, item_id: str | None) -> list[str]:
    """Returns the items that a cursor lists as shown.

    Raises:
        RequestError: If the cursor is damaged, or was made for another user, surface or seed.
    """
    damaged = RequestError("The cursor is damaged; send it exactly as the last response returned it.", field="cursor")
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
        raise RequestError("The cursor belongs to another user, surface or item; omit it.", field="cursor")
    return shown


def _binding(user_id: str, surface: str, item_id: str | None) -> bytes:
    text = "\0".join((user_id, surface, item_id or ""))
    return hashlib.blake2b(text.encode(), digest_size=_BINDING_BYTES).digest()
