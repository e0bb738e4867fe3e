"""Settings of a process, derived from their declaration: a field is the environment variable `KUBEREC_<NAME>`.

Servers (`inference/settings.py`) and pipelines (`pipelines/settings.py`) declare their settings with it. An entry point
reads them once and hands them down.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from feature_repo.errors import SettingsError

PREFIX = "KUBEREC_"


class EnvironmentSettings(BaseModel):
    """Base of all settings. A field whose type derives from it is a section, which has a prefix of its own.

    A variable that is empty is one that is not set. A field with `exclude` holds for this machine alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: ClassVar[str] = PREFIX

    @classmethod
    def variable(cls, field: str) -> str:
        """The environment variable of a field."""
        return cls.prefix + field.upper()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Reads the settings.

        Args:
            environment: Variables to read; the process's own if None.

        Raises:
            SettingsError: A variable is missing or cannot be used; the sentence names the first one.
        """
        env = os.environ if environment is None else environment
        given: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, EnvironmentSettings):
                given[name] = kind.from_environment(env)
            elif env.get(cls.variable(name), "") != "":
                given[name] = env[cls.variable(name)]
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            variable = cls.variable(str(first["loc"][0]))
            if first["type"] == "missing":
                raise SettingsError(f"{variable} is not set, and it has no default: set it.") from error
            fault = re.sub(r"^(Input|String|Value) should ", "it should ", first["msg"].removeprefix("Value error, "))
            raise SettingsError(f"{variable} is {first['input']!r}: {fault}.") from error

    def variables(self) -> dict[str, str]:
        """The variables that give these settings to a process elsewhere; none of fields with `exclude`."""
        named: dict[str, str] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, EnvironmentSettings):
                named |= value.variables()
            elif not field.exclude and value != "":
                named[self.variable(name)] = str(value).removesuffix(".0") if isinstance(value, float) else str(value)
        return named
