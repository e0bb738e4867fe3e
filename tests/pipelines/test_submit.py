"""The submitter as a CronJob calls it: one run of the compiled definition, or one sentence."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from components.marketplace.config import config_for
from components.marketplace.dataset.directory import make_dataset
from pipelines.submit import main
from tests.kit.ports import free_port
from tests.pipelines.kfp_server import KfpServer, started

NAME = "simulated-tiny"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("world") / "dataset"
    make_dataset(config_for("tiny"), path)
    return path


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KfpServer]:
    """A server that the environment of this process names."""
    with started() as made:
        settings: Mapping[str, str] = {
            "KUBEREC_KFP_ENDPOINT": made.url,
            "KUBEREC_BUILD": str(tmp_path),
            "KUBEREC_VALIDATION_PYTHON": "/nowhere/python",  # the steps run in the images of the cluster
            "KUBEREC_REDIS": "redis:6379",
            "KUBEREC_PUSHGATEWAY": "http://pushgateway:9091",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield made


def test_a_training(server: KfpServer, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["training", "--dataset", str(dataset), "gate=warn", "seed=3"])
    (run,) = server.runs
    assert run["display_name"].startswith(f"{NAME}-training-2")
    assert run["pipeline_spec"]["pipelineInfo"]["name"] == "kuberec-training"
    arguments = run["runtime_config"]["parameters"]
    assert arguments["dataset"] == str(dataset)
    assert (arguments["gate"], arguments["seed"], arguments["cause"]) == ("warn", 3, "")
    assert {"store", "log", "fingerprint", "code_version", "schema_version", "served_version"} <= set(arguments)
    assert f"Run {run['run_id']} at {server.url} has the name {run['display_name']}" in capsys.readouterr().out
    assert server.experiments[0]["display_name"] == f"kuberec-{NAME}"


def test_a_drift_job_brings_its_settings_along(server: KfpServer, dataset: Path) -> None:
    main(["drift", "--dataset", str(dataset), "gate=warn"])
    arguments = server.runs[0]["runtime_config"]["parameters"]
    assert arguments["parameters"] == ["gate=warn"]
    assert arguments["variables"] == {
        "KUBEREC_REDIS": "redis:6379",
        "KUBEREC_KFP_ENDPOINT": server.url,
        "KUBEREC_COOLDOWN_SECONDS": "86400",
        "KUBEREC_LEASE_SECONDS": "120",
        "KUBEREC_PUSHGATEWAY": "http://pushgateway:9091",
    }


def test_a_pod_that_starts_again_submits_no_second_run(
    server: KfpServer, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        main(["drift", "--dataset", str(dataset), "--key", "drift-29384"])
    assert capsys.readouterr().out.count("A run with the key drift-29384 exists already: no run is submitted.\n") == 1
    assert [run["display_name"] for run in server.runs] == [f"{NAME}-drift-drift-29384"]


def test_an_endpoint_that_is_away_or_not_named(
    server: KfpServer,
    dataset: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("KUBEREC_KFP_ENDPOINT", away)
    with pytest.raises(SystemExit) as ended:
        main(["training", "--dataset", str(dataset)])
    assert ended.value.code == 14
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: Kubeflow Pipelines at {away} cannot be used")
    monkeypatch.setenv("KUBEREC_KFP_ENDPOINT", "")
    monkeypatch.delenv("KUBEREC_VALIDATION_PYTHON")
    monkeypatch.setenv("KUBEREC_VALIDATION_PYTHON", "/bin/true")
    with pytest.raises(SystemExit):
        main(["drift", "--dataset", str(dataset)])
    assert "error: KUBEREC_KFP_ENDPOINT is not set" in capsys.readouterr().err
    assert server.runs == []
