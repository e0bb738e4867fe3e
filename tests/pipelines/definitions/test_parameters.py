"""Parameters and settings: what a person may say, and the sentence where it does not fit."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from components.validation.environment import DEFAULT_PYTHON
from feature_repo.command import Command
from feature_repo.errors import SettingsError
from inference.bundles.store import BundleStore
from pipelines.definitions.parameters import TrainingParameters
from pipelines.settings import ClusterSettings, MonitoringSettings, PipelineSettings
from tests.kit.bundle_factory import make_bundle


def test_defaults() -> None:
    assert TrainingParameters.parse([]).model_dump() == {
        "gate": "refuse",
        "refit": False,
        "ranker_rows": 1_000_000,
        "reference_days": 7,
        "recipe": "fast",
        "seed": 0,
    }


def test_values_are_read_as_what_they_are() -> None:
    parsed = TrainingParameters.parse(["gate=warn", "refit=true", "reference_days=1", "recipe=best", "seed=7"])
    assert parsed.model_dump() == {
        "gate": "warn",
        "refit": True,
        "ranker_rows": 1_000_000,
        "reference_days": 1,
        "recipe": "best",
        "seed": 7,
    }


@pytest.mark.parametrize(
    ("pair", "named"),
    [
        ("gate", "'gate' is not of the form name=value"),
        ("gate=maybe", "parameter gate should be 'refuse' or 'warn', not 'maybe'"),
        ("refit=perhaps", "parameter refit should be a valid boolean, unable to interpret input, not 'perhaps'"),
        ("seed=-1", "parameter seed should be greater than or equal to 0, not '-1'"),
        ("reference_days=0", "parameter reference_days should be greater than or equal to 1, not '0'"),
        ("reference_days=29", "parameter reference_days should be less than or equal to 28, not '29'"),
        ("seed=2147483648", "parameter seed should be less than 2147483648, not '2147483648'"),
        ("seed=", "parameter seed should be a valid integer, unable to parse string as an integer, not ''"),
        ("colour=red", "parameter colour is unknown"),
        ("=1", "'=1' is not of the form name=value"),
    ],
)
def test_what_does_not_fit_is_one_sentence(pair: str, named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        TrainingParameters.parse([pair])
    message = str(caught.value)
    assert named in message
    assert "\n" not in message
    assert message.endswith("(known parameters: gate, refit, ranker_rows, reference_days, recipe, seed).")


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    environment = {
        "KUBEREC_BUILD": str(tmp_path / "made"),
        "KUBEREC_VALIDATION_PYTHON": sys.executable,
        "KUBEREC_REDIS": "localhost:1",
    }
    settings = PipelineSettings.from_environment(environment)
    assert settings == PipelineSettings(build=tmp_path / "made", validation_python=sys.executable, redis="localhost:1")
    assert settings.store("shop") == str(tmp_path / "made" / "store" / "shop")


@pytest.mark.parametrize("stores", ["s3://bucket/stores", "s3://bucket/stores/"])
def test_stores_can_be_in_a_bucket_where_a_redis_holds_the_features(stores: str) -> None:
    environment = {"KUBEREC_STORES": stores, "KUBEREC_VALIDATION_PYTHON": sys.executable}
    with pytest.raises(SettingsError, match="KUBEREC_REDIS"):
        PipelineSettings.from_environment(environment)
    settings = PipelineSettings.from_environment({**environment, "KUBEREC_REDIS": "localhost:1"})
    assert settings.store("shop") == "s3://bucket/stores/shop"


def test_stores_can_be_in_another_directory(tmp_path: Path) -> None:
    environment = {"KUBEREC_STORES": str(tmp_path / "kept"), "KUBEREC_VALIDATION_PYTHON": sys.executable}
    assert PipelineSettings.from_environment(environment).store("shop") == str(tmp_path / "kept" / "shop")


@pytest.mark.parametrize(
    ("logs", "expected"), [("", "{0}/log/shop"), ("{0}/kept", "{0}/kept/shop"), ("s3://logs/", "s3://logs/shop")]
)
def test_every_dataset_has_a_log_of_its_own(tmp_path: Path, logs: str, expected: str) -> None:
    environment = {
        "KUBEREC_BUILD": str(tmp_path),
        "KUBEREC_LOGS": logs.format(tmp_path),
        "KUBEREC_VALIDATION_PYTHON": sys.executable,
    }
    assert PipelineSettings.from_environment(environment).log("shop") == expected.format(tmp_path)


def test_defaults_lie_beside_the_code() -> None:
    if not DEFAULT_PYTHON.is_file():
        pytest.skip("the validation environment is not set up: run `make setup`")
    assert PipelineSettings.from_environment({}) == PipelineSettings(
        build=Path("build").resolve(), validation_python=str(DEFAULT_PYTHON)
    )


def test_a_cluster_and_the_drift_job_are_configured(tmp_path: Path) -> None:
    environment = {
        "KUBEREC_KFP_ENDPOINT": "http://ml-pipeline.kubeflow:8888",
        "KUBEREC_KFP_NAMESPACE": "team",
        "KUBEREC_KFP_TOKEN_FILE": "/run/token",
        "KUBEREC_KFP_SECRET": "bucket",
        "KUBEREC_KFP_VOLUME": "datasets:/data",
        "KUBEREC_COOLDOWN_SECONDS": "0",
        "KUBEREC_LEASE_SECONDS": "30",
        "KUBEREC_TEXTFILE_DIR": str(tmp_path),
        "KUBEREC_PUSHGATEWAY": "http://pushgateway:9091",
        "KUBEREC_VALIDATION_PYTHON": "/nowhere/python",  # steps run in the cluster's images
    }
    settings = PipelineSettings.from_environment(environment)
    assert settings.cluster == ClusterSettings(
        endpoint="http://ml-pipeline.kubeflow:8888",
        namespace="team",
        token_file="/run/token",
        secret="bucket",
        volume="datasets:/data",
    )
    assert (settings.cluster.claim, settings.cluster.claim_path) == ("datasets", "/data")
    assert settings.monitoring == MonitoringSettings(
        cooldown_seconds=0.0, lease_seconds=30.0, textfile_dir=str(tmp_path), pushgateway="http://pushgateway:9091"
    )
    assert PipelineSettings.from_environment({"KUBEREC_VALIDATION_PYTHON": sys.executable}).cluster.endpoint == ""


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("KUBEREC_KFP_ENDPOINT", "ml-pipeline:8888", "write it as http://host:port"),
        ("KUBEREC_KFP_VOLUME", "datasets", "write it as claim:/folder"),
        ("KUBEREC_KFP_VOLUME", "datasets:data", "write it as claim:/folder"),
        ("KUBEREC_PUSHGATEWAY", "pushgateway:9091", "write it as http://host:port"),
        ("KUBEREC_COOLDOWN_SECONDS", "a day", "it should be a valid number"),
        ("KUBEREC_COOLDOWN_SECONDS", "-1", "it should be greater than or equal to 0"),
        ("KUBEREC_LEASE_SECONDS", "0", "it should be greater than or equal to 1"),
        ("KUBEREC_LEASE_SECONDS", "inf", "it should be a finite number"),
    ],
)
def test_a_setting_that_is_not_of_its_form(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is '{value}': {words}"):
        PipelineSettings.from_environment({name: value, "KUBEREC_VALIDATION_PYTHON": sys.executable})


def test_a_log_that_ended_long_ago_is_served_by_its_own_clock(tmp_path: Path) -> None:
    settings = PipelineSettings(build=tmp_path, validation_python=sys.executable)
    store = BundleStore(str(tmp_path / "store"))
    assert settings.serving(store)["KUBEREC_CLOCK"] == "wall"
    bundle = make_bundle(tmp_path / "bundle")
    store.publish(bundle)
    store.set_current(bundle.version)
    cache = str(tmp_path / "cache")
    assert settings.serving(store) == {"KUBEREC_CLOCK": "log", "KUBEREC_REDIS": "", "KUBEREC_CACHE": cache}


def test_the_help_of_a_command_names_every_parameter_and_its_value() -> None:
    parser = Command("shop.train", "Trains.", print, TrainingParameters.take).parser()
    lines = [line.split() for line in parser.format_help().split("defaults:")[1].splitlines()]
    assert {line[0] for line in lines if line} == {
        "gate=refuse", "refit=false", "ranker_rows=1000000", "reference_days=7", "recipe=fast", "seed=0"
    }  # fmt: skip
    assert parser.parse_args(["seed=3", "gate=warn"]).parameters == ["seed=3", "gate=warn"]
