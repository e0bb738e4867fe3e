"""Two installations in one cluster: they share no object and no address."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.manifests.cluster import CLUSTER_SCOPED, Document, config, namespace_of, of_kind, pods, read, variables

ADDRESS = re.compile(r"s3://[^\s\"]+|(?:[\w-]+://)?[a-z0-9.-]+:\d{2,5}\b")
SHARED = {"http://ml-pipeline.kubeflow.svc:8888"}  # Kubeflow Pipelines is there once


@pytest.fixture(params=["cluster", "profile", "cloud"])
def two(rendered: Path, request: pytest.FixtureRequest) -> tuple[list[Document], list[Document]]:
    """An installation that differs from the overlay of the repository by as little as possible, and another one."""
    return read(rendered / "tenant.yaml"), read(rendered / f"{request.param}.yaml")


def test_they_share_no_object(two: tuple[list[Document], list[Document]]) -> None:
    first, second = ({_identity(document) for document in documents} for documents in two)
    assert first
    assert first & second == set()


def _identity(document: Document) -> tuple[str, str, str]:
    metadata = document["metadata"]
    namespace = "" if document["kind"] in CLUSTER_SCOPED else metadata["namespace"]
    return document["kind"], namespace, metadata["name"]


def test_they_share_no_address(two: tuple[list[Document], list[Document]]) -> None:
    first, second = (_addresses(documents) for documents in two)
    assert len(first) > 5
    assert first & second <= SHARED


def _addresses(documents: list[Document]) -> set[str]:
    """Every address in the environment of a pod; names of Services without a namespace get that of the pod."""
    found: set[str] = set()
    for pod in pods(documents):
        for container in pod.containers:
            text = " ".join(variables(documents, container).values())
            for address in ADDRESS.findall(text):
                inside = "." not in address and not address.startswith("s3://")
                found.add(address.replace(":", f".{namespace_of(documents)}.svc:", 1) if inside else address)
    return found


def test_neither_names_the_other(two: tuple[list[Document], list[Document]]) -> None:
    for own, other in (two, two[::-1]):
        name = re.escape(namespace_of(other))
        named = re.compile(rf"\.{name}\.svc|.namespace.: .{name}\W|namespace=.{name}\W")
        assert any(named.search(json.dumps(document)) for document in other)
        assert [document["metadata"] for document in own if named.search(json.dumps(document))] == []


def test_files_and_ids_of_their_dashboards_differ(two: tuple[list[Document], list[Document]]) -> None:
    """Grafana keeps all dashboards in one folder."""
    files, ids = set(), set()
    for documents in two:
        ((file, content),) = config(documents, "dashboard").items()
        files.add(file)
        ids.add(json.loads(content)["uid"])
    assert len(files) == len(ids) == 2


def test_rules_of_one_read_no_series_of_the_other(two: tuple[list[Document], list[Document]]) -> None:
    for own, other in (two, two[::-1]):
        (rules,) = of_kind(own, "PrometheusRule")
        text = json.dumps(rules["spec"])
        assert f"namespace='{namespace_of(own)}'" in text
        assert f"namespace='{namespace_of(other)}'" not in text
