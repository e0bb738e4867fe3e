"""Events that clients post, and their validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter
from pydantic_core import PydanticCustomError

from feature_repo.dataset.split import DAY
from feature_repo.dataset.values import number_bounds
from feature_repo.errors import RequestError
from inference.api.clock import parse_moment
from inference.api.requests import Id, Word

MAX_EVENTS = 1000  # per call
MAX_AHEAD_SECONDS = DAY
LAST_SECOND = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


def _micros(value: object) -> int:
    if not isinstance(value, str):
        raise PydanticCustomError("no_moment", "It is not text; write an RFC 3339 time such as 2026-01-31T12:00:00Z")
    try:
        micros = round(parse_moment(value) * 1e6)
    except ValueError as error:
        raise PydanticCustomError("no_moment", "{why}", {"why": str(error)}) from error
    if micros < 0:
        raise PydanticCustomError("before_epoch", "It lies before 1970")
    return micros


_BOUNDS = number_bounds("interactions")
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Value = Annotated[Number, Field(ge=_BOUNDS["value"].least, le=_BOUNDS["value"].greatest)]
Price = Annotated[Number, Field(ge=_BOUNDS["price"].least, le=_BOUNDS["price"].greatest)]
Quantity = Annotated[Number, Field(ge=_BOUNDS["quantity"].least, le=_BOUNDS["quantity"].greatest)]


class Event(BaseModel):
    """An action of a user. Unknown fields are rejected, so that a misspelt field does not go unnoticed.

    Attributes:
        event_id: Unique over all events; an event that is posted twice counts once.
        user_id, item_id: Ids; unknown ids are allowed.
        event_type: An event type; types that the dataset does not know are kept too.
        timestamp: Microseconds since the epoch, posted as RFC 3339 text; the clock's time if absent.
        value, price, quantity, session_id, request_id, device, country, surface: As in a dataset's interactions;
            `request_id` is the id of the feed in which the event happened.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_id: Id
    user_id: Id
    item_id: Id
    event_type: Word
    timestamp: Annotated[int, BeforeValidator(_micros)] | None = None
    value: Value | None = None
    price: Price | None = None
    quantity: Quantity | None = None
    session_id: Id | None = None
    request_id: Id | None = None
    device: Word | None = None
    country: Word | None = None
    surface: Word | None = None


EVENTS: TypeAdapter[list[Event]] = TypeAdapter(Annotated[list[Event], Field(min_length=1, max_length=MAX_EVENTS)])


def checked(content: Mapping[str, Any] | Sequence[Any], now: float, clock: str) -> list[Event]:
    """Validates a posted object or list, and returns its events, each with a time.

    Args:
        content: Parsed JSON.
        now: The clock's time, unix seconds.
        clock: The clock's kind, for the error message.

    Raises:
        ValidationError: A field is invalid.
        RequestError: An event lies more than `MAX_AHEAD_SECONDS` ahead of the clock.
    """
    alone = isinstance(content, Mapping)
    events = [Event.model_validate(content)] if alone else EVENTS.validate_python(content)
    at, latest = round(now * 1e6), round((now + MAX_AHEAD_SECONDS) * 1e6)
    for place, event in enumerate(events):
        if event.timestamp is not None and event.timestamp > latest:
            raise RequestError(
                f"The event {event.event_id[:64]!r} of {_text(event.timestamp)} lies more than 24 hours ahead of this "
                f"server's clock (KUBEREC_CLOCK={clock}), which says {_text(at)}.",
                field="timestamp" if alone else f"{place}.timestamp",
            )
    return [event if event.timestamp is not None else event.model_copy(update={"timestamp": at}) for event in events]


def _text(micros: int) -> str:
    return (
        datetime.fromtimestamp(min(micros / 1e6, LAST_SECOND), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    )
