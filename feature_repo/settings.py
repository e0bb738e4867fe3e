"""Settings of a process, derived from the declaration: a field is the environment variable `KUBEREC_<NAME>`.

Servers (`inference/settings.py`) and pipelines (`pipelines/settings.py`) declare their settings as subclasses. An entry
point reads the settings once and passes them on.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from feature_repo.errors import SettingsError

PREFIX = "KUBEREC_"
# Every variable of a process of kuberec, for the warning about a misspelt one: a process sees the variables of others.
_NAMES = """
    BUILD BUILDER BUILT CACHE CHECKPOINTS CLOCK COOLDOWN_SECONDS CRDS DEADLINE_SECONDS GRACE_SECONDS GRPC_PORT
    HELD_BUNDLES HOST HTTP_PORT IMAGES IMAGE_PULL_SECRET ITEMS_SECONDS KFP_CA_BUNDLE KFP_CHECKPOINTS KFP_ENDPOINT
    KFP_GPUS KFP_GPU_NODE_SELECTOR KFP_GPU_TOLERATIONS KFP_MEMORY_FACTOR KFP_NAMESPACE KFP_NODE_SELECTOR
    KFP_REDIS_SECRET KFP_RUN_AS KFP_SECRET KFP_TIMEOUT_SECONDS KFP_TOKEN_FILE KFP_TOLERATIONS KFP_VOLUME
    LEASE_SECONDS LOG LOGS LOG_FLUSH_SECONDS LOG_QUEUE ONLINE POLL_SECONDS PREDICTOR PUSHGATEWAY RANKER_SECONDS
    RANKER_THREADS REDIS REDIS_CA_FILE REDIS_PASSWORD_FILE REQUEST_THREADS SOURCES_SECONDS SPOOL STORE STORES
    TEXTFILE_DIR TOOLS USERS_SECONDS VALIDATION_PYTHON
"""
VARIABLES = frozenset(PREFIX + name for name in _NAMES.split())
# Variables that Kubernetes adds to every pod for a Service whose name begins with kuberec.
_SERVICE_LINK = re.compile(r".+_(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_(TCP|UDP)\w*)")


class EnvironmentSettings(BaseModel):
    """Base class of all settings. A field whose type is also a subclass is a section, with a separate prefix.

    An empty variable counts as not set. A field with `exclude` is valid on this machine only. The value of a field with
    `repr=False` may hold a password, so that no sentence shows it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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
        _warn_of_unknown(frozenset(name for name in env if name.startswith(PREFIX)))
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
            field_name = str(first["loc"][0])
            variable = cls.variable(field_name)
            if first["type"] == "missing":
                raise SettingsError(f"{variable} is not set, and it has no default: set it.") from error
            fault = re.sub(r"^(Input|String|Value) should ", "it should ", first["msg"].removeprefix("Value error, "))
            if not cls.model_fields[field_name].repr:
                raise SettingsError(f"{variable} cannot be used: {fault}.") from None
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


@cache
def _warn_of_unknown(names: frozenset[str]) -> None:
    """Logs a line for each variable that no process of kuberec reads, once in a process for the same variables."""
    for name in sorted(names - VARIABLES):
        if not _SERVICE_LINK.fullmatch(name):
            close = difflib.get_close_matches(name, VARIABLES, n=1)
            advice = f"did you mean {close[0]}?" if close else "remove it."
            logging.getLogger("kuberec").warning("%s is not a setting of kuberec and is ignored: %s", name, advice)
