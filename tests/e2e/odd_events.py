"""Random events: within the API's own bounds, and with the bounds lifted."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from feature_repo.dataset.values import CONTEXT_LENGTH, ID_LENGTH, number_bounds

FIRST = datetime(1970, 1, 1, tzinfo=UTC)
NUMBERS = number_bounds("interactions")
CHARACTERS = "aZ09 |/\\%#?&=+'\"<>{}[],;:*$\u2028\u202e\u200b\xa0é\u0301\U0001f9ca\u0661"
ODD_NUMBERS = (1e17, -1.0, 1e300, -1e300, 1e39, 3.4028234663852886e38, 1.8e308, math.nan, math.inf, -math.inf, -0.0)
ODD_IDS = ("", "line\nbreak", "nul\0byte", "tab\t", "\x85", "x" * (ID_LENGTH + 1), "x" * 100_000, None)


def posted(draw: random.Random, number: int, users: Sequence[str], items: Sequence[str]) -> dict[str, Any]:
    """An event that the API accepts; its optional fields are often at their bounds."""
    row: dict[str, Any] = {
        "event_id": f"{number}{_text(draw, ID_LENGTH - 8)}",
        "user_id": draw.choice([*users, _text(draw, ID_LENGTH)]),
        "item_id": draw.choice([*items, _text(draw, ID_LENGTH)]),
        "event_type": draw.choice(["click", "purchase", "return", "share", _text(draw, CONTEXT_LENGTH)]),
    }
    for name, bounds in NUMBERS.items():
        if draw.random() < 0.7:
            at_bound = draw.choice([bounds.least, bounds.greatest, 0.0, -0.0, 5e-324, 0.1 * bounds.greatest])
            row[name] = draw.choice([at_bound, draw.uniform(bounds.least, bounds.greatest)])
    for name, most in (("session_id", ID_LENGTH), ("request_id", ID_LENGTH), *CONTEXT):
        if draw.random() < 0.5:
            row[name] = _text(draw, most)
    if draw.random() < 0.3:
        row["timestamp"] = (FIRST + timedelta(seconds=draw.randrange(1_500_000_000))).isoformat()
    return row


def lifted(
    draw: random.Random, number: int, users: Sequence[str], items: Sequence[str], at: datetime
) -> dict[str, Any]:
    """A row of a log that nothing checked."""
    row = posted(draw, number, users, items) | {"timestamp": at + timedelta(seconds=number % 3600)}
    for name in NUMBERS:
        if draw.random() < 0.5:
            row[name] = draw.choice(ODD_NUMBERS)
    for name in ("event_id", "user_id", "item_id", "event_type", "session_id", "request_id", "device"):
        if draw.random() < 0.1:
            row[name] = draw.choice(ODD_IDS)
    return row


CONTEXT = tuple((name, CONTEXT_LENGTH) for name in ("device", "country", "surface"))


def _text(draw: random.Random, most: int) -> str:
    return "".join(draw.choices(CHARACTERS, k=draw.choice([1, 2, 7, most])))
