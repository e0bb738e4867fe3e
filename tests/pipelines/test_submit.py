"""The submitter as a CronJob calls it: one run of the compiled definition, or one sentence."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from components.marketplace.config import config_for
from components.marketplace.dataset.directory import make_dataset
from feature_repo.storage.files import list_files
from feature_repo.storage.remote_folder import RemoteFolder
from inference.bundles.bundle import Bundle
from inference.bundles.store import BundleStore
from pipelines.cluster.images import image_names
from pipelines.settings import PipelineSettings
from pipelines.submit import main
from tests.kit.bundle_factory import make_bundle
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
            "KUBEREC_KFP_TOLERATIONS": "batch=yes:NoSchedule",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def released(server: KfpServer, tmp_path: Path) -> Bundle:
    """The bundle that the store of the dataset serves."""
    bundle, store = make_bundle(tmp_path / "made"), BundleStore(str(tmp_path / "store" / NAME))
    store.publish(bundle)
    store.set_current(bundle.version)
    return bundle


@pytest.mark.parametrize("pipeline", ["refresh", "drift"])
def test_before_the_first_release_a_job_ends_well_and_submits_nothing(
    server: KfpServer, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], pipeline: str
) -> None:
    main([pipeline, "--dataset", str(dataset)])
    assert server.runs == []
    assert capsys.readouterr().out == (
        f"The store {tmp_path / 'store' / NAME} has no released bundle yet: no {pipeline} is submitted until there is "
        "one.\n"
    )


@pytest.mark.usefixtures("released")
def test_a_dataset_in_a_bucket_is_named_by_its_url(server: KfpServer, dataset: Path, bucket: str) -> None:
    url = f"s3://{bucket}/datasets/tiny"
    RemoteFolder(url).upload(dataset, list_files(dataset), "")
    for pipeline in ("training", "refresh", "drift"):
        main([pipeline, "--dataset", f"{url}/"])
    assert [run["runtime_config"]["parameters"]["dataset"] for run in server.runs] == [url] * 3


def test_a_training(server: KfpServer, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["training", "--dataset", str(dataset), "gate=warn", "seed=3"])
    (run,) = server.runs
    assert run["display_name"].startswith(f"{NAME}-training-2")
    assert run["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == "kuberec-training"
    arguments = run["runtime_config"]["parameters"]
    assert arguments["dataset"] == str(dataset)
    assert (arguments["gate"], arguments["seed"], arguments["cause"]) == ("warn", 3, "")
    assert {"store", "log", "fingerprint", "code_version", "schema_version", "served_version"} <= set(arguments)
    assert f"Run {run['run_id']} at {server.url} has the name {run['display_name']}" in capsys.readouterr().out
    assert server.experiments[0]["display_name"] == f"kuberec-{NAME}"


@pytest.mark.usefixtures("released")
def test_a_drift_job_brings_its_settings_along(server: KfpServer, dataset: Path) -> None:
    main(["drift", "--dataset", str(dataset), "gate=warn"])
    arguments = server.runs[0]["runtime_config"]["parameters"]
    assert arguments["parameters"] == ["gate=warn"]
    variables = arguments["variables"]
    assert (
        variables.items()
        >= {
            "KUBEREC_REDIS": "redis:6379",
            "KUBEREC_KFP_ENDPOINT": server.url,
            "KUBEREC_KFP_TOLERATIONS": "batch=yes:NoSchedule",
            "KUBEREC_COOLDOWN_SECONDS": "86400",
            "KUBEREC_LEASE_SECONDS": "120",
            "KUBEREC_PUSHGATEWAY": "http://pushgateway:9091",
        }.items()
    )
    # The step that answers drift submits a training with the images and pods of this job.
    there = PipelineSettings.from_environment({**variables, "KUBEREC_VALIDATION_PYTHON": "/nowhere/python"}).cluster
    here = PipelineSettings.from_environment().cluster
    names = image_names(here.images.images)
    assert "{tag}" not in names
    assert there == here.model_copy(update={"images": here.images.model_copy(update={"images": names})})


@pytest.mark.usefixtures("released")
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
