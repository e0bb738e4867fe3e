"""The address of a Redis server: parsed once, by redis-py's own parser, and never shown with its password.

Every client of Redis (online store, leases) is made here, so all of them understand the same addresses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from feature_repo.setting_types import is_host

if TYPE_CHECKING:
    from redis import Redis
    from redis.retry import Retry

DEFAULT_PORT = 6379
MAX_TIMEOUT_SECONDS = 3600.0
FORM = "write host:port, or redis://user@host:port/db (rediss:// for TLS)"
# Further arguments of redis-py that a URL may set, as in rediss://cache:6379?ssl_ca_certs=/ca.pem.
OPTIONS = frozenset(
    (
        "db",
        "health_check_interval",
        "socket_connect_timeout",
        "socket_timeout",
        "ssl_ca_certs",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_keyfile",
    )
)


@dataclass(frozen=True)
class RedisAddress:
    """A checked address.

    Attributes:
        host: Name, IPv4 address, or IPv6 address without brackets.
        port: TCP port.
        db: Number of the database.
        tls: Whether connections use TLS.
        username, password: Credentials, "" for none.
        options: Further options, as the URL has them.
    """

    host: str
    port: int
    db: int = 0
    tls: bool = False
    username: str = ""
    password: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parses `host:port` or a URL with the scheme redis or rediss.

        Raises:
            ValueError: The address cannot be used; the message is half a sentence, without any part of the address
                that may hold a password.
        """
        from redis import Redis, RedisError  # only if Redis is configured
        from redis.connection import parse_url

        is_url = "://" in text
        if re.search(r"[\s\x00-\x1f\x7f]", text):
            raise ValueError(f"it has a space or a line break; {FORM}")
        if not is_url and re.search(r"[@/?#,=]", text):
            raise ValueError(f"host:port takes no credentials and no options; {FORM}")
        url = text if is_url else f"redis://{text}"
        parts, port = _split(url)
        if parts.scheme not in ("redis", "rediss"):
            raise ValueError(f"the scheme of its URL is not redis or rediss; {FORM}")
        if parts.fragment or "#" in text:
            raise ValueError(f"it has a '#': percent-encode it (%23); {FORM}")
        if port is None and (not is_url or parts.netloc.endswith(":")):
            raise ValueError(f"it has no port; {FORM}")
        if not re.fullmatch(r"/?[0-9]{0,6}", parts.path):
            raise ValueError(f"its database is not a number; {FORM}")
        url = parts.scheme + url[len(parts.scheme) :]  # redis-py takes small letters only
        try:
            parsed = parse_url(url)
            times = [parsed.get(name, 1.0) for name in ("socket_timeout", "socket_connect_timeout")]
            if not all(0 < seconds <= MAX_TIMEOUT_SECONDS for seconds in times) or parsed.get("db", 0) < 0:
                raise ValueError("a time limit or a database is out of range")
            unknown = parsed.keys() - OPTIONS - {"host", "port", "username", "password", "connection_class"}
            if not unknown:  # options of TLS are checked, and are for TLS only
                Redis.from_url(url).connection_pool.make_connection()
        except (ValueError, TypeError, RedisError) as error:
            raise ValueError(f"an option of its URL cannot be used; {FORM}") from error
        named = {name: str(parsed[name]) for name in OPTIONS & parsed.keys() if name != "db"}
        if unknown:
            raise ValueError(f"its URL has an option other than {', '.join(sorted(OPTIONS))}; {FORM}")
        return cls(
            host=_checked_host(str(parsed.get("host", ""))),
            port=DEFAULT_PORT if port is None else port,
            db=int(parsed.get("db", 0)),
            tls=parts.scheme == "rediss",
            username=str(parsed.get("username", "")),
            password=str(parsed.get("password", "")),
            options=named,
        )

    @property
    def url(self) -> str:
        """The complete URL, with the password."""
        credentials = ""
        if self.username or self.password:
            secret = f":{quote(self.password, safe='')}" if self.password else ""
            credentials = f"{quote(self.username, safe='')}{secret}@"
        db = f"/{self.db}" if self.db else ""
        query = f"?{urlencode(sorted(self.options.items()))}" if self.options else ""
        return f"{'rediss' if self.tls else 'redis'}://{credentials}{self._host_port}{db}{query}"

    @property
    def public(self) -> str:
        """The address without the password, in its shortest form: for parameters, logs and errors."""
        plain = replace(self, password="")
        is_short = not (self.tls or self.username or self.db or self.options)
        return plain._host_port if is_short else plain.url

    def client(self, timeout: float, retry: Retry) -> Redis:
        """A client, which connects on first use.

        Args:
            timeout: Seconds to wait for a connection and for an answer; options of the URL take precedence.
            retry: How failed calls are repeated.
        """
        from redis import Redis

        made: Redis = Redis.from_url(self.url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=retry)
        return made

    @property
    def _host_port(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _split(url: str) -> tuple[SplitResult, int | None]:
    """The parts of a URL, and its port."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:  # the error of urlsplit may quote a password
        raise ValueError(
            "its port is not a number from 1 to 65535, or special characters of its password are not percent-encoded; "
            + FORM
        )
    return parts, port


def _checked_host(host: str) -> str:
    if not host:
        raise ValueError(f"it has no host (an IPv6 address needs brackets: [::1]:{DEFAULT_PORT}); {FORM}")
    if not is_host(host):
        raise ValueError(f"its host is not a name or an IP address; {FORM}")
    return host
