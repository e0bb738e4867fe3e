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
