"""The Redis of a process: its secrets come from files, and runs get its address without them."""

import shutil
from pathlib import Path

import certifi
import pytest

from feature_repo.errors import SettingsError
from feature_repo.redis_settings import RedisSettings, redis_of_step

SECRET = "hunter2"


def read(**variables: str) -> RedisSettings:
    return RedisSettings.from_environment({f"KUBEREC_REDIS{name}": value for name, value in variables.items()})


def test_secrets_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p@ss,word\n")
    shutil.copyfile(certifi.where(), tmp_path / "ca.pem")
    settings = read(
        **{"": "rediss://me@cache:7000/1", "_PASSWORD_FILE": f"{tmp_path}/password", "_CA_FILE": f"{tmp_path}/ca.pem"}
    )
    path = f"{tmp_path}/ca.pem".replace("/", "%2F")
    assert settings.redis_url == f"rediss://me:p%40ss%2Cword@cache:7000/1?ssl_ca_certs={path}"
    assert settings.redis_parameter == "rediss://me@cache:7000/1"
    assert settings.variables() == {"KUBEREC_REDIS": "rediss://me@cache:7000/1"}
    assert read().redis_url == read().redis_parameter == ""
    assert read().variables() == {}


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"": "cache"}, "KUBEREC_REDIS cannot be used: it has no port"),
        ({"": f"redis://:{SECRET}#@cache"}, "KUBEREC_REDIS cannot be used: its port"),
        ({"": "cache:1", "_PASSWORD_FILE": "/nowhere"}, "KUBEREC_REDIS_PASSWORD_FILE is '/nowhere', which"),
        ({"": "cache:1", "_PASSWORD_FILE": "/dev/null"}, "KUBEREC_REDIS_PASSWORD_FILE is '/dev/null', which is empty"),
        ({"": f"redis://:{SECRET}@cache", "_PASSWORD_FILE": "/dev/null"}, "remove one of the two"),
        ({"": f"redis://:{SECRET}@cache", "_CA_FILE": "/dev/null"}, r"\(cache:6379\) does not use TLS"),
        ({"": "rediss://cache", "_CA_FILE": "/nowhere"}, "cannot be read as certificates"),
        ({"": "rediss://cache", "_CA_FILE": "/etc/hostname"}, "cannot be read as certificates"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_a_sentence_without_the_password(variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        read(**variables)
    assert SECRET not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_step_adds_the_secrets_of_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEREC_REDIS", f"redis://:{SECRET}@cache:1")
    assert redis_of_step("cache:1") == f"redis://:{SECRET}@cache:1"
    assert redis_of_step("other:1") == "redis://other:1"
    assert redis_of_step("") == ""
    (tmp_path / "password").write_text("from a file")
    monkeypatch.setenv("KUBEREC_REDIS", "")
    monkeypatch.setenv("KUBEREC_REDIS_PASSWORD_FILE", f"{tmp_path}/password")
    assert redis_of_step("cache:1") == "redis://:from%20a%20file@cache:1"
