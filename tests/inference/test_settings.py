"""Settings of the servers come from the environment."""

from __future__ import annotations

import pytest

from feature_repo.errors import SettingsError
from inference.settings import ServingSettings


def test_settings_come_from_the_environment():
    settings = ServingSettings.from_environment({"KUBEREC_STORE": "/s", "KUBEREC_HTTP_PORT": "9", "OTHER": "x"})
    assert (settings.store, settings.http_port, settings.clock) == ("/s", 9, "wall")
    for environment, name in (
        ({}, "KUBEREC_STORE"),
        ({"KUBEREC_STORE": "/s", "KUBEREC_CLOCK": "sun"}, "KUBEREC_CLOCK"),
        ({"KUBEREC_STORE": "/s", "KUBEREC_PREDICTOR": "nowhere"}, "KUBEREC_PREDICTOR"),
        ({"KUBEREC_STORE": "/s", "KUBEREC_HTTP_PORT": "99999"}, "KUBEREC_HTTP_PORT"),
    ):
        with pytest.raises(SettingsError, match=name):
            ServingSettings.from_environment(environment)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STORE", "s3://"),
        ("STORE", "s3:///store"),
        ("STORE", "s3://bucket/a\nb"),
        ("STORE", "s4://bucket/store"),
        ("STORE", "http://bucket/store"),
        ("STORE", "memory://store"),
        ("STORE", "/dev/null"),
        ("CACHE", "/dev/null"),
        ("ONLINE", "/dev/null"),
        ("SPOOL", "/dev/null/spool"),
        ("LOG", "x" * 5000),
        ("HOST", "local host"),
        ("HOST", "http://0.0.0.0"),
        ("PREDICTOR", "predictor:0"),
        ("PREDICTOR", "predictor:65536"),
        ("PREDICTOR", "::1:8081"),
        ("PREDICTOR", "http://predictor:1"),
        ("POLL_SECONDS", "inf"),
        ("POLL_SECONDS", "nan"),
        ("POLL_SECONDS", "1e30"),
        ("POLL_SECONDS", "1e-320"),
        ("SPOOL", "\udcff"),
        ("REQUEST_THREADS", "100000000"),
        ("LOG_QUEUE", "1e3"),
        ("REDIS", "localhost"),
        ("REDIS", "redis://:hunter2@local host"),
    ],
)
def test_a_setting_that_would_fail_later_is_refused_at_start(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^KUBEREC_{name} ") as caught:
        ServingSettings.from_environment({"KUBEREC_STORE": "/s", f"KUBEREC_{name}": value})
    assert str(caught.value).endswith(".")
    assert "hunter2" not in str(caught.value)


def test_addresses_of_every_form_are_taken() -> None:
    given = {"STORE": "s3://bucket/shop", "HOST": "::", "PREDICTOR": "[::1]:8081", "REDIS": "rediss://me@[::1]:6380/1"}
    settings = ServingSettings.from_environment({f"KUBEREC_{name}": value for name, value in given.items()})
    assert (settings.host, settings.predictor, settings.redis_url) == ("::", "[::1]:8081", "rediss://me@[::1]:6380/1")
