"""Image definitions: linted, pinned, without root, and each with what its processes need and no more."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.cluster.images import image_names
from pipelines.cluster.pods import compile_pipeline
from pipelines.definitions.training import training
from pipelines.settings import ClusterSettings
from tests.kit.checkout import ROOT
from tests.manifests.cluster import Document, of_kind, pods
from tests.manifests.dockerfiles import IMAGES, Image, images
from tests.test_packaging import PROJECT

PACKAGES = {
    "serving": ["feature_repo", "inference"],
    "predictor": ["feature_repo", "inference"],
    "pipeline": ["feature_repo", "inference", "components", "monitoring", "pipelines"],
    "validation": ["feature_repo", "inference", "components"],
}
EXTRAS = {"serving": ["serving"], "predictor": ["predictor"], "pipeline": ["pipeline", "monitoring"], "validation": []}


@pytest.fixture(params=sorted(EXTRAS))
def image(request: pytest.FixtureRequest) -> Image:
    """One definition."""
    return images()[request.param]


def test_there_are_the_images_that_pods_and_steps_name(documents: list[Document], tmp_path: Path) -> None:
    template = image_names("kuberec/{name}:{tag}")
    assert template.startswith(f"kuberec/{{name}}:{PROJECT['version']}-")
    named = {one["image"] for pod in pods(documents) for one in pod.containers if one["image"].startswith("kuberec/")}
    compile_pipeline(training, tmp_path / "training.yaml", ClusterSettings())
    executors = next(yaml.safe_load_all((tmp_path / "training.yaml").read_text()))["deploymentSpec"]["executors"]
    named |= {one["container"]["image"] for one in executors.values()}
    assert named == {template.replace("{name}", name) for name in images()}
    (settings,) = [one["data"] for one in of_kind(documents, "ConfigMap") if "KUBEREC_IMAGES" in one["data"]]
    assert settings["KUBEREC_IMAGES"] == template


def test_hadolint_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, *IMAGES.glob("*.Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_base_is_pinned_and_nobody_is_root(image: Image) -> None:
    assert {rest.split()[0] for rest in image.all("FROM")} == {"python:3.11.14-slim-bookworm"}
    assert image.all("USER") == ["10001:10001"]
    names = [name for name, _ in image.instructions]
    assert not {"COPY", "RUN", "ADD"} & set(names[names.index("USER") :]), "the finished image is changed as root alone"
    assert "ADD" not in names


def test_it_has_its_own_extras_and_packages(image: Image) -> None:
    assert image.extras == EXTRAS[image.name]
    assert set(image.extras) <= PROJECT["optional-dependencies"].keys()
    assert image.packages == PACKAGES[image.name]
    assert f'org.opencontainers.image.version="{PROJECT["version"]}"' in image.all("LABEL")[0]


def test_what_it_copies_is_sent_to_the_builder(image: Image) -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name in image.sources:
        assert (ROOT / name).exists(), name
        assert name.split("/")[0] in kept, f".dockerignore keeps {name} back"


def test_no_setting_and_no_secret_is_baked_in(image: Image) -> None:
    assert image.environment.keys() == {"PATH", "PYTHONPATH", "PYTHONUNBUFFERED", "HOME"}
    text = (IMAGES / f"{image.name}.Dockerfile").read_text()
    assert not re.search(r"KUBEREC_|AWS_|SECRET|TOKEN|PASSWORD", text)


def test_a_job_starts_what_its_image_has(documents: list[Document]) -> None:
    assert images()["pipeline"].packages[-1] == "pipelines"
    for job in of_kind(documents, "CronJob"):
        (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        assert container["command"] == images()["pipeline"].command[:3]


def test_the_transformer_starts_with_the_arguments_that_kserve_adds(serving_python: Path) -> None:
    added = ["--model_name", "recommender", "--predictor_host", "recommender-predictor.kuberec", "--http_port", "8080"]
    done = _run(serving_python, images()["serving"].command, added, ROOT)
    assert done.stderr.strip() == "error: KUBEREC_STORE is not set, and it has no default: set it."


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(EXTRAS))
def test_the_entry_point_runs_on_the_packages_of_the_image_alone(name: str, tmp_path: Path) -> None:
    image = images()[name]
    for source in image.packages:
        shutil.copytree(ROOT / source, tmp_path / "kuberec" / source)
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", python]
    if name == "validation":
        install += ["--no-deps", "-r", "components/validation/requirements.txt"]
    else:
        install += ["-c", "constraints.txt", "-r", "pyproject.toml"]
        install += [word for extra in image.extras for word in ("--extra", extra)]
    subprocess.run(install, cwd=ROOT, check=True, timeout=1200)
    done = _run(python, image.command, [], tmp_path / "kuberec")
    if name in ("pipeline", "validation"):
        assert done.returncode == 0, done.stderr
    else:
        assert done.stderr.strip() == "error: KUBEREC_STORE is not set, and it has no default: set it."


def _run(python: Path, command: list[str], arguments: list[str], code: Path) -> subprocess.CompletedProcess[str]:
    """Runs an image's command with an interpreter of this machine, outside of the checkout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KUBEREC_")}
    return subprocess.run(
        [python, *command[1:], *arguments],
        cwd="/",
        env={**environment, "PYTHONPATH": str(code)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
