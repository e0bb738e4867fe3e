"""`make render`: one file an overlay, the same every time, with the rules that monitoring/ owns."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from monitoring.dashboards import kuberec_dashboard
from monitoring.rules import rule_file
from tests.kit.checkout import ROOT
from tests.manifests.cluster import Document, namespace_of, of_kind, pods, read
from tests.manifests.installations import ALL, SHIPPED

LARGEST = 128 << 10  # half of what all annotations of an object may take


def test_one_file_an_overlay(rendered: Path) -> None:
    assert sorted(path.name for path in rendered.iterdir()) == [f"{name}.yaml" for name in ALL]


def test_the_same_every_time_and_over_what_was_there(rendered: Path, tmp_path: Path) -> None:
    (tmp_path / "gone.yaml").write_text("kind: Overlay that is no more\n")
    subprocess.run([ROOT / ".ci" / "render", tmp_path], check=True, capture_output=True, timeout=300)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        f"{name}.yaml": (rendered / f"{name}.yaml").read_bytes() for name in SHIPPED
    }


def test_every_name_of_our_images_is_the_setting(tmp_path: Path) -> None:
    environment = {**os.environ, "KUBEREC_IMAGES": "registry.example.com:5000/shop/kuberec-{name}:mine"}
    subprocess.run([ROOT / ".ci" / "render", tmp_path], check=True, capture_output=True, env=environment, timeout=300)
    documents = read(tmp_path / "cluster.yaml")
    ours = [one["image"] for pod in pods(documents) for one in pod.containers if "kuberec" in one["image"]]
    assert len(ours) == 5
    assert set(ours) == {
        f"registry.example.com:5000/shop/kuberec-{n}:mine" for n in ("serving", "predictor", "pipeline")
    }
    (settings,) = [one["data"] for one in of_kind(documents, "ConfigMap") if "KUBEREC_IMAGES" in one["data"]]
    assert settings["KUBEREC_IMAGES"] == environment["KUBEREC_IMAGES"]


def test_a_machine_without_kustomize_is_told_so(tmp_path: Path) -> None:
    for name in ("kustomize", "kubectl", "npm"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 127\n")
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "KUBEREC_TOOLS": str(tmp_path / "tools")}
    done = subprocess.run(
        [ROOT / ".ci" / "render", tmp_path / "out"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: Rendering needs kustomize")
    assert not (tmp_path / "out").exists()


def test_the_rules_are_those_of_monitoring(documents: list[Document]) -> None:
    (rules,) = of_kind(documents, "PrometheusRule")
    assert rules["spec"] == rule_file(namespace=namespace_of(documents))


def test_grafana_gets_the_dashboard_of_monitoring(documents: list[Document]) -> None:
    marked = [one for one in documents if one["metadata"].get("labels", {}).get("grafana_dashboard") == "1"]
    assert [(one["kind"], one["metadata"]["name"]) for one in marked] == [("ConfigMap", "dashboard")]
    ((file, content),) = marked[0]["data"].items()
    namespace = namespace_of(documents)
    assert file == f"kuberec-{namespace}.json"
    assert json.loads(content) == kuberec_dashboard(namespace)
    assert len(content) < LARGEST, "kubectl keeps a copy of what it applies in an annotation"


@pytest.mark.parametrize(
    ("overlay", "gpus"), [("cluster", {}), ("gpu", {"InferenceService/recommender/predictor": "1"})]
)
def test_the_predictor_alone_gets_a_gpu(rendered: Path, overlay: str, gpus: dict[str, str]) -> None:
    found = {}
    for pod in pods(read(rendered / f"{overlay}.yaml")):
        for container in pod.containers:
            resources = container["resources"]
            if "nvidia.com/gpu" in resources["limits"]:
                found[pod.owner] = resources["limits"]["nvidia.com/gpu"]
                assert resources["requests"]["nvidia.com/gpu"] == found[pod.owner], "a GPU is not overcommitted"
    assert found == gpus
