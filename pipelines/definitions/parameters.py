"""Parameters of the training pipeline, which a person sets as `name=value` on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_repo.errors import SettingsError


class TrainingParameters(BaseModel):
    """Parameters of a training run; the help of the commands shows each description."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: Literal["refuse", "warn"] = Field(
        default="refuse",
        description="refuse keeps the served bundle if the new one is not better; warn releases it with a warning",
    )
    refit: bool = Field(
        default=False, description="after the evaluation, fit the towers again on the log up to its end"
    )
    ranker_rows: int = Field(
        default=1_000_000,
        ge=10_000,
        le=20_000_000,
        description="upper bound on the training rows of the ranker, about 400 bytes each",
    )
    reference_days: int = Field(
        default=7, ge=1, le=28, description="last days of the log, replayed as the reference of drift"
    )
    recipe: Literal["fast", "best"] = Field(
        default="fast", description="fast takes minutes on a laptop, best searches longer"
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="seed of all random choices")

    @classmethod
    def take(cls, parser: argparse.ArgumentParser) -> None:
        """Adds `name=value` arguments to a command, and lists the parameters in its help."""
        parser.add_argument("parameters", nargs="*", metavar="name=value", help="parameters of a training, see below")
        lines = [
            f"  {f'{name}={_written(field.default)}':<20} {field.description}"
            for name, field in cls.model_fields.items()
        ]
        parser.epilog = "\n".join(["parameters of a training, with their defaults:", *lines])

    @classmethod
    def parse(cls, pairs: Sequence[str]) -> Self:
        """Parses `name=value` pairs.

        Raises:
            SettingsError: A pair has no "=", an unknown name, or an invalid value.
        """
        known = ", ".join(cls.model_fields)
        values: dict[str, str] = {}
        for pair in pairs:
            name, equals, value = pair.partition("=")
            if not (name and equals):
                raise SettingsError(
                    f"The parameter {pair!r} is not of the form name=value (known parameters: {known})."
                )
            if name not in cls.model_fields:
                raise SettingsError(f"The parameter {name} is unknown (known parameters: {known}).")
            values[name] = value
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            wrong, fault = first["loc"][0], first["msg"].removeprefix("Input ")
            raise SettingsError(
                f"The parameter {wrong} {fault}, not {first['input']!r} (known parameters: {known})."
            ) from error


def _written(value: object) -> str:
    """A value in the form in which the command line takes it."""
    return str(value).lower()
