"""Requests and their validation: REST parameters, V1 instances and V2 tensors become `RecommendationRequest`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from feature_repo.dataset.values import CONTEXT_LENGTH, ID_LENGTH, has_control_character
from feature_repo.errors import RequestError
from inference.api import cursor as cursors
from inference.candidates.query import Query
from inference.candidates.surfaces import SURFACES, surface_of

MAX_COUNT = 100
MAX_INSTANCES = 1024
LEAST_TOO_LONG = 10**ID_LENGTH  # the least whole number with too many digits for an id


def _as_text(value: object) -> object:
    """Converts integer ids to their decimal text, as the dataset contract does."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < LEAST_TOO_LONG:
        return str(value)
    return value


def _plain(text: str) -> str:
    if has_control_character(text):
        raise PydanticCustomError("control_character", "It contains a control character; remove it")
    return text


Id = Annotated[str, Field(min_length=1, max_length=ID_LENGTH), AfterValidator(_plain), BeforeValidator(_as_text)]


def _known_surface(name: str) -> str:
    if name not in SURFACES:
        *first, last = (repr(known) for known in SURFACES)
        expected = f"{', '.join(first)} or {last}"
        raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})
    return name


Word = Annotated[str, Field(min_length=1, max_length=CONTEXT_LENGTH), AfterValidator(_plain)]


class RecommendationRequest(BaseModel):
    """A request for one slate.

    Attributes:
        user_id: Id of the user; unknown users are allowed.
        surface: One of `SURFACES`; a seeded surface requires `item_id`.
        count: Number of items requested.
        item_id: The seed: similar items are requested.
        cursor: The cursor of the previous page.
        country, device, last_item_id, session_length: Context of the request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_id: Id
    surface: Annotated[str, AfterValidator(_known_surface), Field(json_schema_extra={"enum": [*SURFACES]})] = "home"
    count: Annotated[int, Field(ge=1, le=MAX_COUNT)] = 20
    item_id: Annotated[Id | None, Field(validate_default=True)] = None
    cursor: Annotated[str | None, Field(min_length=1, max_length=cursors.MAX_LENGTH)] = None
    country: Word | None = None
    device: Word | None = None
    last_item_id: Id | None = None
    session_length: Annotated[int | None, Field(ge=0, le=1_000_000)] = None

    @field_validator("item_id")
    @classmethod
    def _seed(cls, item_id: str | None, info: ValidationInfo) -> str | None:
        surface = surface_of(info.data.get("surface", ""))
        if item_id is None and surface.seeded:
            raise PydanticCustomError(
                "seed_missing", "The surface {name} needs a seed item; send item_id", {"name": surface.name}
            )
        return item_id

    def shown(self) -> list[str]:
        """Items of earlier pages.

        Raises:
            RequestError: If the cursor does not belong to this feed.
        """
        return [] if self.cursor is None else cursors.decode(self.cursor, self.user_id, self.surface, self.item_id)

    def query(self, time: float, request_id: str) -> Query:
        """The query of the recommender.

        Raises:
            RequestError: If the cursor does not belong to this feed.
        """
        return Query(
            user_id=self.user_id,
            time=time,
            surface=self.surface,
            count=self.count,
            request_id=request_id,
            item_id=self.item_id,
            country=self.country,
            device=self.device,
            last_item_id=self.last_item_id,
            session_length=self.session_length,
            exclude=frozenset(self.shown()),
        )


class Instances(BaseModel):
    """Body of a V1 predict call; other fields are ignored."""

    model_config = ConfigDict(frozen=True)

    instances: Annotated[list[RecommendationRequest], Field(min_length=1, max_length=MAX_INSTANCES)]


REQUESTS: TypeAdapter[list[RecommendationRequest]] = TypeAdapter(list[RecommendationRequest])


def from_tensors(tensors: Mapping[str, Sequence[Any]]) -> list[RecommendationRequest]:
    """Validates the tensors of a V2 infer call and returns its requests.

    Args:
        tensors: Name -> flat values: user_id [n], optional surface and item_id [n] or [1], count [1].

    Raises:
        RequestError: If a tensor is missing, unknown or of the wrong length, or holds an invalid value; the error names
            the tensor.
    """
    for name in tensors:
        if name not in ("user_id", "surface", "item_id", "count"):
            raise RequestError(
                f"The input {name[:64]!r} is unknown; known are user_id, surface, item_id, count.", field=name
            )
    users = tensors.get("user_id", ())
    if not 1 <= len(users) <= MAX_INSTANCES:
        raise RequestError(f"The input user_id has {len(users)} values; send 1 to {MAX_INSTANCES}.", field="user_id")
    columns: dict[str, list[Any]] = {"user_id": list(users)}
    for name in ("surface", "item_id", "count"):
        values = list(tensors.get(name, ()))
        if not values:
            continue
        if len(values) not in ((1,) if name == "count" else (1, len(users))):
            raise RequestError(
                f"The input {name} has {len(values)} values for {len(users)} users; send 1 or one each.",
                field=name,
            )
        columns[name] = values * len(users) if len(values) == 1 else values
    # "" means that there is no seed: tensors have no null.
    instances = [
        {name: value for name, value in zip(columns, row, strict=True) if not (name == "item_id" and value == "")}
        for row in zip(*columns.values(), strict=True)
    ]
    try:
        return REQUESTS.validate_python(instances)
    except ValidationError as error:
        first = error.errors()[0]
        place, field = first["loc"][:2]
        said = f"The input {field} is invalid at [{place}]: {first['msg']}."
        raise RequestError(said, field=str(field)) from error
