"""Settings of a process, derived from the declaration: a field is the environment variable `KUBEREC_<NAME>`.

Servers (`inference/settings.py`) and pipelines (`pipelines/settings.py`) declare their settings as subclasses. An entry
point reads the settings once and passes them on.
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
    """Base class of all settings. A field whose type is also a subclass is a section, with a separate prefix.

    An empty variable counts as not set. A field with `exclude` is valid on this machine only.
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
            environment: Variables to read; the environment of this process if None.

        Raises:
            SettingsError: A variable is missing or invalid; the sentence names the first such variable.
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
        """The variables that pass these settings to a process on another machine, without fields with `exclude`."""
        named: dict[str, str] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, EnvironmentSettings):
                named |= value.variables()
            elif not field.exclude and value != "":
                named[self.variable(name)] = str(value).removesuffix(".0") if isinstance(value, float) else str(value)
        return named
