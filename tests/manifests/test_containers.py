"""The images, built and used: a training pipeline with a container a step, then both servers, as in a cluster.

Containers have a read-only root and run as user 10001 without capabilities. The bucket is a real S3 server and the
online store a real Redis. KUBEREC_BUILT=reference uses images that are built already, as in `kuberec/{name}:mine`.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.marketplace.config import config_for
from components.marketplace.dataset.directory import make_dataset
from pipelines.cluster.pods import compile_pipeline
from pipelines.definitions.parameters import TrainingParameters
from pipelines.definitions.training import training
from pipelines.local.runner import code_version
from pipelines.local.training_run import training_arguments
from pipelines.settings import PipelineSettings
from tests.kit import containers
from tests.kit.checkout import ROOT
from tests.kit.launcher import Launcher
from tests.kit.object_store import ObjectStore
from tests.kit.ports import free_port
from tests.manifests.dockerfiles import images

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(containers.missing()), reason=f"no containers here: {containers.missing()}"),
]
NAME = "simulated-tiny"
START_SECONDS = 120.0


@dataclass(frozen=True)
class Built:
    """Built images: the template of their references, and their roots by reference."""

    template: str
    roots: Mapping[str, Path]

    def reference(self, name: str) -> str:
        return self.template.replace("{name}", name)


@pytest.fixture(scope="module")
def built() -> Iterator[Built]:
    """Builds the images with the command of a person, unless KUBEREC_BUILT names built ones."""
    template = os.environ.get("KUBEREC_BUILT", "")
    if not template:
        template = "localhost/kuberec/{name}:test"
        done = subprocess.run(
            [ROOT / ".ci" / "images"],
            env={**os.environ, "KUBEREC_IMAGES": template, "KUBEREC_BUILDER": "buildah"},
            capture_output=True,
            text=True,
            check=False,
        )
        if "docker.io/library/python" in done.stderr and done.returncode:
            pytest.skip("the base image cannot be pulled on this machine")
        assert done.returncode == 0, done.stderr[-3000:]
    with ExitStack() as stack:
        references = [template.replace("{name}", name) for name in images()]
        yield Built(template, {one: stack.enter_context(containers.mounted(one)) for one in references})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("world") / NAME
    make_dataset(config_for("tiny"), path)
    path.parent.chmod(0o755)  # the steps are another user
    return path


def test_a_training_runs_step_by_step_and_both_servers_answer_from_its_bundle(
    built: Built,
    dataset: Path,
    bucket: str,
    s3_server: ObjectStore,
    redis_server: str,
    tmp_path: Path,
) -> None:
    stores = f"s3://{bucket}/stores"
    settings = PipelineSettings.from_environment(
        {
            "KUBEREC_STORES": stores,
            "KUBEREC_REDIS": redis_server,
            "KUBEREC_BUILD": str(tmp_path),
            "KUBEREC_KFP_ENDPOINT": "http://unused",
            "KUBEREC_KFP_SECRET": "bucket",
            "KUBEREC_KFP_VOLUME": "datasets:/data",
            "KUBEREC_IMAGES": built.template,
        }
    )
    compile_pipeline(training, tmp_path / "training.yaml", settings.cluster)
    variables = {built.reference(name): _variables(name) for name in images()}
    launcher = Launcher(
        package=tmp_path / "training.yaml",
        roots=built.roots,
        variables=variables,
        secrets={"bucket": s3_server.environment},
        claims={"datasets": dataset.parent},
        s3=s3_server.client(),
        bucket=bucket,
        scratch=tmp_path / "volumes",
    )
    arguments = training_arguments(dataset, NAME, TrainingParameters(gate="warn"), settings)
    launcher.run({**arguments, "dataset": f"/data/{NAME}", "log": "", "code_version": code_version()})
    print({name: round(seconds, 1) for name, seconds in launcher.seconds.items()})
    assert launcher.seconds.keys() >= {"ingest-dataset", "statistics-op", "evaluate-op", "release-op-2"}

    environment = {**s3_server.environment, "KUBEREC_STORE": f"{stores}/{NAME}", "KUBEREC_REDIS": redis_server}
    ports = {name: free_port() for name in ("predictor", "ranker", "serving")}
    predictor = {"KUBEREC_HTTP_PORT": str(ports["predictor"]), "KUBEREC_GRPC_PORT": str(ports["ranker"])}
    serving = {"KUBEREC_HTTP_PORT": str(ports["serving"]), "KUBEREC_PREDICTOR": f"127.0.0.1:{ports['ranker']}"}
    with (
        _server(built, "predictor", {**environment, **predictor}, ports["predictor"], tmp_path),
        _server(built, "serving", {**environment, **serving, "KUBEREC_CLOCK": "log"}, ports["serving"], tmp_path),
    ):
        address = f"http://127.0.0.1:{ports['serving']}/api/v1/recommendations?user_id=u00004&count=20"
        with urllib.request.urlopen(address, timeout=10) as answer:
            feed = json.load(answer)
    assert len(feed["items"]) == 20
    assert feed["degraded"] == []


def _variables(name: str) -> dict[str, str]:
    """Variables of an image, as its definition sets them."""
    found = images()[name].environment
    return {**found, "PATH": found["PATH"].replace("$PATH", containers.BASE_PATH)}


@contextmanager
def _server(built: Built, name: str, settings: Mapping[str, str], port: int, folder: Path) -> Iterator[None]:
    """One server, ready within the block."""
    cache = {"KUBEREC_CACHE": "/var/cache/kuberec", "KUBEREC_SPOOL": "/var/spool/kuberec"}
    volumes = {place: containers.volume(folder / name / place.strip("/")) for place in ("/tmp", *cache.values())}
    line = containers.command_line(
        built.roots[built.reference(name)],
        images()[name].command,
        {**_variables(name), **settings, **cache},
        volumes,
    )
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(line, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(f"http://127.0.0.1:{port}/v2/health/ready"):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.5)
        yield
    finally:
        containers.stop(process)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
