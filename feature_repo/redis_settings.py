"""Settings of the Redis server that holds online features and leases; servers, commands and steps share them."""

from __future__ import annotations

import os
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from feature_repo.errors import SettingsError
from feature_repo.settings import EnvironmentSettings
from feature_repo.storage.redis_address import RedisAddress


def _checked(text: str) -> str:
    if text:
        RedisAddress.parse(text)
    return text


class RedisSettings(EnvironmentSettings):
    """The server and its secrets.

    Attributes:
        redis: `host:port`, `redis://` or `rediss://` (TLS); "" for SQLite next to the bundles.
        redis_password_file: File with the password, read at the start of a process; "" for none.
        redis_ca_file: File with the certificate authority of the server's certificate; "" for the system's authorities.
    """

    redis: Annotated[str, AfterValidator(_checked)] = Field(default="", repr=False)
    redis_password_file: str = Field(default="", exclude=True)
    redis_ca_file: str = Field(default="", exclude=True)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """Reads the secrets once, so that a process does not start with wrong ones.

        Raises:
            SettingsError: A file cannot be read, or two settings contradict each other.
        """
        _ = self.redis_url
        return self

    @property
    def redis_url(self) -> str:
        """The complete address, with the password; "" without a Redis.

        Raises:
            SettingsError: A file cannot be read, or two settings contradict each other.
        """
        if not self.redis:
            return ""
        address = RedisAddress.parse(self.redis)
        if self.redis_password_file:
            if address.password:
                raise SettingsError(
                    "KUBEREC_REDIS has a password, and KUBEREC_REDIS_PASSWORD_FILE is set: remove one of the two."
                )
            address = replace(address, password=_password(Path(self.redis_password_file)))
        if self.redis_ca_file:
            if not address.tls:
                raise SettingsError(
                    f"KUBEREC_REDIS_CA_FILE is set, but KUBEREC_REDIS ({address.public}) does not use TLS: write "
                    "rediss://."
                )
            _check_authorities(self.redis_ca_file)
            address = replace(address, options={**address.options, "ssl_ca_certs": self.redis_ca_file})
        return address.url

    @property
    def redis_parameter(self) -> str:
        """The address without its password: parameters of runs are stored and shown."""
        return RedisAddress.parse(self.redis).public if self.redis else ""

    def variables(self) -> dict[str, str]:
        """See `EnvironmentSettings.variables`; the password is left out."""
        return super().variables() | ({self.variable("redis"): self.redis_parameter} if self.redis else {})


def redis_of_step(parameter: str) -> str:
    """The complete address for the parameter `redis` of a step; the secrets come from the step's environment.

    Args:
        parameter: The parameter, see `RedisSettings.redis_parameter`.

    Raises:
        SettingsError: The address or a setting cannot be used.
    """
    environment = dict(os.environ)
    if RedisSettings.from_environment(environment).redis_parameter != parameter:
        environment[RedisSettings.variable("redis")] = parameter
    return RedisSettings.from_environment(environment).redis_url


def _check_authorities(path: str) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:  # a bad certificate is an SSLError, which is an OSError
        raise SettingsError(
            f"KUBEREC_REDIS_CA_FILE is {path!r}, which cannot be read as certificates in PEM form: check it."
        ) from error


def _password(path: Path) -> str:
    try:
        password = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"KUBEREC_REDIS_PASSWORD_FILE is {str(path)!r}, which cannot be read: check it.") from error
    if not password:
        raise SettingsError(f"KUBEREC_REDIS_PASSWORD_FILE is {str(path)!r}, which is empty: write the password to it.")
    return password
