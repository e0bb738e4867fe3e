"""A cursor comes back whole, and one that is damaged or of another user is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.errors import RequestError
from inference.api import cursor

ids = st.lists(
    st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=30), max_size=60, unique=True
)


@given(ids.filter(len), st.text(max_size=20), st.sampled_from(["home", "email"]))
def test_cursor_comes_back(shown, user, surface):
    text = cursor.encode(shown, user, surface, None)
    assert text is not None
    assert cursor.decode(text, user, surface, None) == shown


def test_cursor_is_bound_bounded_and_checked():
    text = cursor.encode(["a", "b"], "u1", "home", None)
    assert text is not None
    for user, surface, item in (("u2", "home", None), ("u1", "email", None), ("u1", "home", "i1")):
        with pytest.raises(RequestError, match="another user"):
            cursor.decode(text, user, surface, item)
    for damaged in ("", "x", "!!!!", text[:-3], text + "AAAA", "é", text[:5] + "A" + text[6:]):
        with pytest.raises(RequestError):
            cursor.decode(damaged, "u1", "home", None)
    assert cursor.encode([str(n) for n in range(cursor.MAX_ITEMS)], "u1", "home", None) is None
    import base64
    import zlib

    bomb = b"1" + cursor._binding("u1", "home", None) + zlib.compress(b"\n" * 50_000_000)
    with pytest.raises(RequestError, match="damaged"):
        cursor.decode(base64.urlsafe_b64encode(bomb).rstrip(b"=").decode(), "u1", "home", None)
