"""Addresses of Redis: what is understood, what is refused, and that no sentence holds a password."""

from typing import Any

import pytest
from redis.backoff import NoBackoff
from redis.retry import Retry

from feature_repo.storage.redis_address import RedisAddress

SECRET = "hunter2"
# redis-py finds most of them only when it connects, some with a TypeError.
UNUSABLE_OPTIONS = (
    *("db=first", "db=-1", "socket_timeout=0", "socket_timeout=-1", "socket_timeout=nan", "socket_connect_timeout=inf"),
    "ssl_ca_certs=/ca.pem",
)


@pytest.mark.parametrize(
    ("text", "public", "url"),
    [
        ("cache:6379", "cache:6379", "redis://cache:6379"),
        ("[::1]:6379", "[::1]:6379", "redis://[::1]:6379"),
        ("redis://cache", "cache:6379", "redis://cache:6379"),
        ("REDIS://Cache", "cache:6379", "redis://cache:6379"),
        ("redis://cache:7000/0", "cache:7000", "redis://cache:7000"),
        ("redis://:a%2Cb@[fe80::1]:1/3", "redis://[fe80::1]:1/3", "redis://:a%2Cb@[fe80::1]:1/3"),
        ("rediss://me:a%40b@cache:7000/2", "rediss://me@cache:7000/2", "rediss://me:a%40b@cache:7000/2"),
        ("redis://h:1?db=4&password=p", "redis://h:1/4", "redis://:p@h:1/4"),
        ("rediss://h:1?ssl_ca_certs=/ca.pem", "rediss://h:1?ssl_ca_certs=%2Fca.pem", "rediss://h:1?ssl_ca_certs=%2Fca.pem"),
    ],
)  # fmt: skip
def test_an_address_is_parsed_and_written_again(text: str, public: str, url: str) -> None:
    address = RedisAddress.parse(text)
    assert (address.public, address.url) == (public, url)
    assert RedisAddress.parse(address.url) == address


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("cache", "it has no port"),
        ("cache:", "it has no port"),
        ("redis://cache:", "it has no port"),
        ("cache:port", "its port is not a number"),
        ("cache:0", "its port is not a number"),
        ("cache:65536", "its port is not a number"),
        ("::1:6379", "its port is not a number"),
        ("[::1", "its port is not a number"),
        ("redis://:6379", "it has no host"),
        ("redis://ca!che:1", "its host is not a name"),
        ("cache:1 ", "it has a space"),
        ("cache:1\n", "it has a space"),
        ("unix:///tmp/redis.sock", "the scheme"),
        ("http://cache:1", "the scheme"),
        ("redis://cache:1/first", "its database"),
        *((f"redis://cache:1?{option}", "an option of its URL cannot") for option in UNUSABLE_OPTIONS),
        ("rediss://cache:1?ssl_cert_reqs=perhaps", "an option of its URL cannot"),
        (f"redis://cache:1?{SECRET}=1", "an option other than"),
        (f"cache:1,password={SECRET}", "no credentials and no options"),
        (f"me:{SECRET}@cache:1", "no credentials and no options"),
        (f"redis://:{SECRET}#x@cache:1", "percent-encoded"),
        (f"redis://:1#{SECRET}@cache:1", "percent-encode"),
        (f"redis://:{SECRET}/x@cache:1", "percent-encoded"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault) as caught:
        RedisAddress.parse(text)
    assert SECRET not in str(caught.value)


def test_no_form_of_an_address_for_people_has_the_password() -> None:
    address = RedisAddress.parse(f"rediss://me:{SECRET}@cache:1/2")
    assert SECRET not in f"{address} {address!r} {address.public}"


def test_a_client_has_the_options_of_the_url(redis_server: str) -> None:
    retry = Retry(NoBackoff(), 1)
    assert RedisAddress.parse(redis_server).client(1.0, retry).ping()
    address = RedisAddress.parse(f"rediss://me:{SECRET}@cache:1/2?socket_timeout=9&ssl_cert_reqs=none")
    made: Any = address.client(1.0, retry).connection_pool.make_connection()
    assert (made.host, made.port, made.db, made.username, made.password) == ("cache", 1, 2, "me", SECRET)
    assert (made.socket_timeout, made.socket_connect_timeout) == (9.0, 1.0)
    assert made.cert_reqs.name == "CERT_NONE"
