"""The configuration in `dataset.toml`: the contract between a log and all steps that learn from it.

`contract.py` defines the names of tables and columns, and ingest reads the tables. A missing file, an unknown key or
contradictory settings raise an error of one sentence that names the file and the key.
"""

from __future__ import annotations

import codecs
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from feature_repo.dataset.contract import CONTRACT_COLUMNS, REQUIRED_COLUMNS, RESERVED_COLUMNS, TABLES
from feature_repo.dataset.repeats import Repeats
from feature_repo.errors import DatasetError
from feature_repo.storage.quoting import unusable_character

CONFIG_FILE = "dataset.toml"
COUNTER_NAMES = ("impressions", "users")  # snapshots use num_<name> for these and for each objective's events
INVALID_CHARACTERS = frozenset('",:[]{}\n\r\t')  # LightGBM rejects these in column names, and stores a space as "_"

Name = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
ObjectiveName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Days = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
TextEncoderName = Literal["tfidf", "minilm"]
NonEmpty = Annotated[tuple[str, ...], Field(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EventTypes(_Section):
    """Event types other than those of the objectives.

    Attributes:
        allowed: Additional types that are context; None keeps every unmapped type as context.
        negative: Types with which a user rejects an item.
    """

    allowed: tuple[str, ...] | None = None
    negative: tuple[str, ...] = ()


class Columns(_Section):
    """Contract name -> name in the file, for each table. A list is only for label columns and means any of them."""

    interactions: dict[str, str] = {}
    items: dict[str, str] = {}
    users: dict[str, str] = {}
    impressions: dict[str, str | NonEmpty] = {}


class Extras(_Section):
    """Extra columns of a table to learn from."""

    categorical: tuple[str, ...] = ()
    numerical: tuple[str, ...] = ()


class Features(_Section):
    """Extra columns of items and users."""

    items: Extras = Extras()
    users: Extras = Extras()


class Recommend(_Section):
    """Which of the user's own items may be recommended again."""

    repeats: Repeats = "never"


class Quality(_Section):
    """Limits of the data gate.

    Attributes:
        minimum_rate: Smallest share of clean rows in interactions; a lower share stops the run.
        maximum_daily_events: A user with more events in a day counts as a bot.
        minimum_item_match, minimum_user_match: Smallest share of interactions whose item or user has a row.
        minimum_item_use: Smallest share of the catalogue's items that the log names.
        minimum_impression_match: Smallest share of impressions with an event, if labels are joined. For this and for
            items and users, None stops a run only if nothing matches, and 0 never stops it.
    """

    minimum_rate: Share = 0.95
    maximum_daily_events: Annotated[int, Field(ge=1)] = 1000
    minimum_item_match: Share | None = None
    minimum_user_match: Share | None = None
    minimum_item_use: Share = 0.0
    minimum_impression_match: Share | None = None


class ItemText(_Section):
    """What reads the texts of items for the source `content`: TF-IDF, or the sentence encoder of the extra `minilm`."""

    encoder: TextEncoderName | None = None


class SplitDays(_Section):
    """Days of validation and test; None means seven, scaled down for short logs."""

    validation_days: Days | None = None
    test_days: Days | None = None


class DatasetConfig(_Section):
    """The content of `dataset.toml`."""

    name: Name
    objectives: Annotated[dict[ObjectiveName, NonEmpty], Field(min_length=1, max_length=100)]
    events: EventTypes = EventTypes()
    columns: Columns = Columns()
    features: Features = Features()
    recommend: Recommend = Recommend()
    quality: Quality = Quality()
    text: ItemText = ItemText()
    split: SplitDays = SplitDays()
    surfaces: dict[str, NonEmpty] = {}

    @classmethod
    def load(cls, directory: Path | str) -> Self:
        """Reads `dataset.toml` of a dataset directory.

        Raises:
            DatasetError: The directory or file is missing, the file is not TOML, or a key is unknown or invalid.
        """
        path = Path(directory) / CONFIG_FILE
        if (character := unusable_character(path.absolute())) is not None:
            raise DatasetError(f"The path {str(directory)!r} contains {character}: rename the folder.")
        if not path.parent.is_dir():
            raise DatasetError(f"{path.parent} is not a directory: name the folder that holds {CONFIG_FILE}.")
        try:
            content = tomllib.loads(_read_text(path))
        except FileNotFoundError as error:
            problem = f"is a link to {path.readlink()}, which does not exist" if path.is_symlink() else "is missing"
            raise DatasetError(f"{path} {problem}: a dataset needs it to name its objectives.") from error
        except OSError as error:
            raise DatasetError(f"{path} cannot be read: {error.strerror}.") from error
        except tomllib.TOMLDecodeError as error:
            raise DatasetError(f"{path} cannot be read as TOML: {error}.") from error
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise DatasetError(f"{path}: {_sentence(error)}.") from error

    @cached_property
    def objective_names(self) -> tuple[str, ...]:
        """Objectives, weakest first; the grade of an objective is its position, counted from 1."""
        return tuple(self.objectives)

    @cached_property
    def event_grades(self) -> Mapping[str, int]:
        """Event type -> grade: 1..n for the strongest objective that it fulfils, -1 for negative types, else 0."""
        grades = {kind: grade for grade, kinds in enumerate(self.objectives.values(), start=1) for kind in kinds}
        return {**grades, **dict.fromkeys(self.events.negative, -1)}

    @cached_property
    def known_event_types(self) -> frozenset[str] | None:
        """Event types that the log may contain, None if any type is allowed."""
        if self.events.allowed is None:
            return None
        return frozenset(self.event_grades) | frozenset(self.events.allowed)

    def extras(self, table: str) -> Extras:
        """Returns the extra columns of a table to learn from, without contract columns, which are always used."""
        declared = {"items": self.features.items, "users": self.features.users}.get(table, Extras())
        built_in = CONTRACT_COLUMNS[table]
        return Extras(
            categorical=tuple(name for name in declared.categorical if name not in built_in),
            numerical=tuple(name for name in declared.numerical if name not in built_in),
        )

    def file_columns(self, table: str, name: str) -> tuple[str, ...]:
        """Returns the names in the file from which a contract column, extra column or label is read.

        By default this is the name itself. If `[columns]` maps the file's column of that name to another contract name,
        a contract column or label is not read. An extra column is still read.
        """
        renames: Mapping[str, str | tuple[str, ...]] = getattr(self.columns, table)
        mapped = renames.get(name)
        if mapped is None:
            extras = self.extras(table)
            taken = any(name == other if isinstance(other, str) else name in other for other in renames.values())
            return () if taken and name not in (*extras.categorical, *extras.numerical) else (name,)
        return (mapped,) if isinstance(mapped, str) else mapped

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_events()
        self._check_columns()
        self._check_features()
        self._check_surfaces()
        return self

    def _check_events(self) -> None:
        fulfilling = {kind for kinds in self.objectives.values() for kind in kinds}
        for kind in self.events.negative:
            if kind in fulfilling:
                raise ValueError(
                    f"events.negative lists '{kind}', which fulfils an objective; it can be only one of them"
                )
        seen: dict[str, str] = {}
        for objective in self.objectives:
            other = seen.setdefault(objective.lower(), objective)
            if other != objective:
                raise ValueError(f"objectives.{objective} differs from objectives.{other} only in case; rename one")
            if objective.lower() in COUNTER_NAMES:
                raise ValueError(f"objectives.{objective} has the name of a built-in counter; choose another name")
            if objective in CONTRACT_COLUMNS["impressions"]:
                raise ValueError(f"objectives.{objective} has the name of a column of impressions; choose another name")

    def _check_columns(self) -> None:
        for table in TABLES:
            known = list(CONTRACT_COLUMNS[table])
            declared = {"items": self.features.items, "users": self.features.users}.get(table, Extras())
            labels = list(self.objectives) if table == "impressions" else []
            allowed = [*known, *declared.categorical, *declared.numerical, *labels]
            for name, mapped in getattr(self.columns, table).items():
                if name not in allowed:
                    raise ValueError(f"unknown key 'columns.{table}.{name}'; known are {', '.join(allowed)}")
                if not all((mapped,) if isinstance(mapped, str) else mapped):
                    raise ValueError(f"columns.{table}.{name} names a column without a name; name the column first")
                if not isinstance(mapped, str) and name not in labels:
                    raise ValueError(
                        f"columns.{table}.{name} is a list, which only label columns of impressions may be"
                    )
            for name in REQUIRED_COLUMNS[table]:
                if not self.file_columns(table, name):
                    raise ValueError(f"columns.{table} reads column '{name}' as another; add which column is {name}")

    def _check_features(self) -> None:
        for table, extras in (("items", self.features.items), ("users", self.features.users)):
            names = [*extras.categorical, *extras.numerical]
            taken = {name.lower(): name for name in (*CONTRACT_COLUMNS[table], *RESERVED_COLUMNS)}
            for name in names:
                if not name:
                    raise ValueError(f"features.{table} lists a column without a name; name the column first")
                if INVALID_CHARACTERS.intersection(name):
                    raise ValueError(
                        f"features.{table} lists {name!r}, which is not a valid name in a model; "
                        f"list another name and say in columns.{table} that it is {name!r}"
                    )
                if names.count(name) > 1:
                    raise ValueError(f"features.{table} lists '{name}' twice")
                other = taken.setdefault(name.lower().replace(" ", "_"), name)
                if other != name or name in RESERVED_COLUMNS:
                    raise ValueError(
                        f"features.{table} lists '{name}', which collides with '{other}'; "
                        f"list another name and say in columns.{table} that it is '{name}'"
                    )

    def _check_surfaces(self) -> None:
        seen: dict[str, str] = {}
        for surface, values in self.surfaces.items():
            for value in values:
                if seen.setdefault(value, surface) != surface:
                    raise ValueError(f"surfaces.{surface} lists '{value}', which surfaces.{seen[value]} lists too")


def _read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark; another encoding raises DatasetError."""
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content:
        raise DatasetError(f"{path} cannot be read as TOML: it is written in UTF-16 or UTF-32; save it as UTF-8.")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DatasetError(
            f"{path} cannot be read as TOML: line {line} holds the byte 0x{content[error.start]:02x}, which is not "
            "UTF-8; save it as UTF-8."
        ) from error


def _sentence(error: ValidationError) -> str:
    """Returns the first error of pydantic as one sentence that names the key."""
    first = error.errors()[0]
    parts = [str(part) for part in first["loc"] if part not in ("[key]", "str") and not str(part).startswith("tuple")]
    key = ".".join(parts)
    kind = first["type"]
    if kind == "extra_forbidden":
        section: type[BaseModel] = DatasetConfig
        for part in parts[:-1]:
            section = section.model_fields[part].annotation  # type: ignore[assignment]
        return f"unknown key '{key}'; known here are {', '.join(section.model_fields)}"
    if kind == "missing":
        return f"the key '{key}' is missing"
    if kind == "value_error":
        return str(first["ctx"]["error"])
    if key == "name":
        return f"the key 'name' is {first['input']!r}; it must be 1 to 64 of the characters a-z, 0-9 and -"
    return f"the key '{key}' is invalid: {first['msg'][0].lower()}{first['msg'][1:]}"
