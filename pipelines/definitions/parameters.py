"""Parameters of the training pipeline that a person sets, as `name=value` on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_repo.errors import SettingsError


class TrainingParameters(BaseModel):
    """What an owner may change about a training run; the description of each is its line in the commands' help."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: Literal["refuse", "warn"] = Field(
        default="refuse",
        description="refuse keeps what is served when the new bundle is not better; warn releases all the same, marked",
    )
    refit: bool = Field(default=False, description="fit the towers again up to the log's end after they were measured")
    ranker_rows: int = Field(
        default=1_000_000,
        ge=10_000,
        le=20_000_000,
        description="rows the ranker is trained on at most, about 400 bytes each",
    )
    reference_days: int = Field(
        default=7, ge=1, le=28, description="last days of the log that are replayed: what drift is measured against"
    )
    recipe: Literal["fast", "best"] = Field(
        default="fast", description="fast for minutes on a laptop, best for longer searches"
    )
    seed: int = Field(default=0, ge=0, description="of every random choice")

    @classmethod
    def take(cls, parser: argparse.ArgumentParser) -> None:
        """Adds `name=value` pairs to a command, and lists the parameters in its help."""
        parser.add_argument("parameters", nargs="*", metavar="name=value", help="parameters of a training, see below")
        lines = [
            f"  {f'{name}={_written(field.default)}':<20} {field.description}"
            for name, field in cls.model_fields.items()
        ]
        parser.epilog = "\n".join(["parameters of a training and what they are when left out:", *lines])

    @classmethod
    def parse(cls, pairs: Sequence[str]) -> Self:
        """Read `name=value` pairs.

        Raises:
            SettingsError: A pair has no "=", an unknown name, or a value that does not fit.
        """
        known = ", ".join(cls.model_fields)
        values: dict[str, str] = {}
        for pair in pairs:
            name, equals, value = pair.partition("=")
            if not (name and equals):
                raise SettingsError(f"parameter {pair!r} is not of the form name=value (parameters are {known})")
            if name not in cls.model_fields:
                raise SettingsError(f"parameter {name} is unknown (parameters are {known})")
            values[name] = value
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            wrong, fault = first["loc"][0], first["msg"].removeprefix("Input ")
            raise SettingsError(
                f"parameter {wrong} {fault}, not {first['input']!r} (parameters are {known})"
            ) from error


def _written(value: object) -> str:
    """A value as one writes it after the equals sign."""
    return str(value).lower()
