"""Settings of all processes together; those of pipelines alone are in `definitions/test_parameters.py`."""

from __future__ import annotations

import sys
from itertools import product
from typing import Any

import pytest

from feature_repo.errors import SettingsError
from feature_repo.settings import PREFIX, VARIABLES, EnvironmentSettings
from inference.settings import ServingSettings
from pipelines.settings import PipelineSettings

SECRET = "hunter2"
SCRIPTS = {PREFIX + name for name in ("BUILDER", "BUILT", "CRDS", "TOOLS")}  # of `.ci/` and tests


def variables(settings: type[EnvironmentSettings]) -> set[str]:
    """The variables of a class of settings and of its sections."""
    found = set()
    for name, field in settings.model_fields.items():
        kind: Any = field.annotation
        is_section = isinstance(kind, type) and issubclass(kind, EnvironmentSettings)
        found |= variables(kind) if is_section else {settings.variable(name)}
    return found


def test_every_variable_is_known_to_every_process() -> None:
    assert variables(ServingSettings) | variables(PipelineSettings) | SCRIPTS == VARIABLES


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KUBEREC_KFP_ENDPOINT", "http://kfp:port"),
        ("KUBEREC_KFP_ENDPOINT", "http://:8888"),
        ("KUBEREC_KFP_ENDPOINT", "http://kfp :8888"),
        ("KUBEREC_PUSHGATEWAY", "pushgateway:9091"),
        ("KUBEREC_PUSHGATEWAY", "http://pushgateway:99999"),
        ("KUBEREC_BUILD", "/dev/null/build"),
        ("KUBEREC_TEXTFILE_DIR", "/dev/null"),
        ("KUBEREC_STORES", "s3://"),
        ("KUBEREC_LOGS", "nowhere://logs"),
        ("KUBEREC_LEASE_SECONDS", "1e30"),
        ("KUBEREC_COOLDOWN_SECONDS", "nan"),
        ("KUBEREC_REDIS", f"me:{SECRET}@cache:1"),
        ("KUBEREC_KFP_NAMESPACE", "two words"),
        ("KUBEREC_KFP_SECRET", "Bucket"),
        ("KUBEREC_KFP_VOLUME", "a claim:/folder"),
        ("KUBEREC_KFP_VOLUME", "claim:/a\nb"),
        ("KUBEREC_KFP_CA_BUNDLE", "map:../key"),
        ("KUBEREC_KFP_RUN_AS", "9" * 20),
        ("KUBEREC_KFP_TIMEOUT_SECONDS", "9" * 20),
        ("KUBEREC_KFP_GPUS", "1000000000"),
        ("KUBEREC_KFP_NODE_SELECTOR", "pool=a b"),
        ("KUBEREC_KFP_TOLERATIONS", "{"),
        ("KUBEREC_IMAGE_PULL_SECRET", "-"),
    ],
)
def test_a_setting_that_would_fail_later_is_refused_at_start(name: str, value: str) -> None:
    environment = {"KUBEREC_VALIDATION_PYTHON": sys.executable, name: value}
    with pytest.raises(SettingsError, match=f"^{name} ") as caught:
        PipelineSettings.from_environment(environment)
    assert SECRET not in str(caught.value)


ABSURD = ["0", "-1", "1e9", "1e-320", "9" * 5000, "nan", "inf", " ", "\u0663", "{", "-h", "h:0", "http://h:99999"]
ABSURD += ["/dev/null", "/dev/null/x", "~nobody/x", "a b%20#?\u00e9", "x\ny", "x\x00y", "\udcff", "../..", "s3:///x"]


@pytest.mark.parametrize("settings", [ServingSettings, PipelineSettings])
def test_absurd_values_are_taken_or_are_one_sentence(settings: type[EnvironmentSettings]) -> None:
    needed = {"KUBEREC_STORE": "/store", "KUBEREC_VALIDATION_PYTHON": sys.executable}
    sentences = []
    for name, value in product(sorted(variables(settings)), ABSURD):
        try:
            settings.from_environment({**needed, name: value})
        except SettingsError as error:
            sentences.append(str(error))
    assert len(sentences) > 200
    assert [sentence for sentence in sentences if not (sentence.isprintable() and sentence.endswith("."))] == []


@pytest.mark.parametrize("path", ["/nowhere/python", "x\ny", "9" * 5000, __file__])
def test_an_interpreter_is_an_executable_file(path: str) -> None:
    with pytest.raises(SettingsError, match="is not an executable file: run `make setup`"):
        PipelineSettings.from_environment({"KUBEREC_VALIDATION_PYTHON": path})


def test_a_password_is_no_parameter_of_a_run() -> None:
    here = {"KUBEREC_VALIDATION_PYTHON": sys.executable, "KUBEREC_REDIS": f"redis://:{SECRET}@cache:1"}
    settings = PipelineSettings.from_environment(here)
    assert (settings.redis_parameter, settings.redis_url) == ("cache:1", f"redis://:{SECRET}@cache:1")
    assert SECRET not in f"{settings!r} {settings.variables()}"
    with pytest.raises(SettingsError, match="KUBEREC_REDIS_PASSWORD_FILE") as caught:
        PipelineSettings.from_environment({**here, "KUBEREC_KFP_ENDPOINT": "http://kfp"})
    assert SECRET not in str(caught.value)
