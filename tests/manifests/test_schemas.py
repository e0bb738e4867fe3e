"""Every document against the schema of its kind, with unknown fields refused: Kubernetes' own and the definitions'."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from tests.kit.checkout import ROOT
from tests.manifests.cluster import Document, namespace_of, of_kind, read
from tests.manifests.crds import FOLDER, faults

VERSIONS = ("1.32", "1.37")  # the oldest that KServe 0.21 runs on, and the newest that the schemas know
CUSTOM = {
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "InferenceService": "serving.kserve.io/v1beta1",
    "PodDefault": "kubeflow.org/v1alpha1",
    "PrometheusRule": "monitoring.coreos.com/v1",
    "ServiceMonitor": "monitoring.coreos.com/v1",
}
BUILT_IN = {
    "ConfigMap",
    "CronJob",
    "Namespace",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Role",
    "RoleBinding",
    "Service",
    "ServiceAccount",
    "StatefulSet",
}
needs_definitions = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no custom resource definitions in {FOLDER}: name their folder in KUBEREC_CRDS"
)


def test_only_kinds_that_a_cluster_has(documents: list[Document]) -> None:
    assert {document["kind"] for document in documents} <= BUILT_IN | CUSTOM.keys()
    for document in documents:
        assert document["apiVersion"] == CUSTOM.get(document["kind"], document["apiVersion"])


@pytest.fixture(scope="module")
def distinct(rendered: Path) -> list[Document]:
    """The documents of all installations, each once: most differ only in the namespace."""
    found = {}
    for path in sorted(rendered.iterdir()):
        documents = read(path)
        for document in documents:
            found[json.dumps(document).replace(namespace_of(documents), "")] = document
    by_hand = [document for path in (ROOT / "manifests" / "kubeflow").iterdir() for document in read(path)]
    return [*found.values(), *by_hand]


@pytest.mark.parametrize("version", VERSIONS)
def test_built_in_kinds_fit_their_schemas(distinct: list[Document], version: str) -> None:
    for document in distinct:
        if document["kind"] not in CUSTOM:
            kubernetes_validate.validate(document, version, strict=True)


def test_an_unknown_field_of_a_built_in_kind_is_refused(distinct: list[Document]) -> None:
    damaged = copy.deepcopy(of_kind(distinct, "CronJob")[0])
    damaged["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["limits"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(damaged, VERSIONS[0], strict=True)


def test_one_version_of_kserve_is_named() -> None:
    """The package, the pages for people, and what the tests know of its controller."""
    (pinned,) = re.findall(r"^kserve==(\d+\.\d+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    paths = [
        ROOT / "manifests" / "README.md",
        *(ROOT / "manifests").rglob("*.yaml"),
        *Path(__file__).parent.glob("*.py"),
    ]
    named = {path: set(re.findall(r"KServe \(?(\d+\.\d+)", path.read_text())) for path in (ROOT / "README.md", *paths)}
    assert named[ROOT / "README.md"] == named[paths[0]] == {pinned}
    assert set().union(*named.values()) == {pinned}


@needs_definitions
def test_custom_kinds_fit_their_definitions(distinct: list[Document]) -> None:
    assert {
        f"{document['kind']}/{document['metadata']['name']}": found
        for document in distinct
        if document["kind"] in CUSTOM.keys() - {"PodDefault"} and (found := faults(document))
    } == {}


def _misspelt(document: Document) -> None:
    document["spec"]["predictor"]["minReplica"] = 1


def _deep(document: Document) -> None:
    document["spec"]["transformer"]["containers"][0]["securityContext"]["capabilities"]["drops"] = ["ALL"]


def _of_another_type(document: Document) -> None:
    document["spec"]["predictor"]["minReplicas"] = "one"


def _port_twice(document: Document) -> None:
    ports: list[Any] = document["spec"]["predictor"]["containers"][0]["ports"]
    ports.append({**ports[0], "name": "again"})


@needs_definitions
@pytest.mark.parametrize("damage", [_misspelt, _deep, _of_another_type, _port_twice])
def test_a_damaged_inference_service_is_refused(distinct: list[Document], damage: Any) -> None:
    service = copy.deepcopy(of_kind(distinct, "InferenceService")[0])
    damage(service)
    assert len(faults(service)) == 1
