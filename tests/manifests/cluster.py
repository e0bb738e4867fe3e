"""The rendered manifests as a cluster would see them, with what KServe makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CLUSTER_SCOPED = {"Namespace"}
Document = dict[str, Any]


class Loader(yaml.CSafeLoader):
    """YAML as Go reads it: "=" alone is text there."""


Loader.add_constructor("tag:yaml.org,2002:value", Loader.construct_yaml_str)


@dataclass(frozen=True)
class Pod:
    """Pods that a document leads to.

    Attributes:
        owner: Kind and name of the document, and the part of it.
        labels: Of the pods.
        spec: Their PodSpec.
        serves: Whether somebody connects to them.
    """

    owner: str
    labels: dict[str, str]
    spec: dict[str, Any]
    serves: bool

    @property
    def containers(self) -> list[dict[str, Any]]:
        """All of its containers."""
        return [*self.spec["containers"], *self.spec.get("initContainers", [])]

    @property
    def ports(self) -> dict[int, str]:
        """Port number -> its name."""
        return {port["containerPort"]: port["name"] for one in self.containers for port in one.get("ports", [])}


def read(path: Path) -> list[Document]:
    """The documents of a YAML file."""
    return [document for document in yaml.load_all(path.read_text(), Loader) if document is not None]


def of_kind(documents: list[Document], kind: str) -> list[Document]:
    """Those of one kind."""
    return [document for document in documents if document["kind"] == kind]


def namespace_of(documents: list[Document]) -> str:
    """The namespace of an installation."""
    (found,) = {one["metadata"]["namespace"] for one in documents if one["kind"] not in CLUSTER_SCOPED}
    return str(found)


def config(documents: list[Document], name: str) -> dict[str, str]:
    """Content of a ConfigMap; `name` is without the hash."""
    names = re.compile(rf"{name}(-[0-9a-z]{{10}})?")
    (found,) = [one["data"] for one in of_kind(documents, "ConfigMap") if names.fullmatch(one["metadata"]["name"])]
    return dict(found)


def variables(documents: list[Document], container: dict[str, Any]) -> dict[str, str]:
    """Environment of a container without what Secrets add, as the kubelet makes it."""
    found: dict[str, str] = {}
    known = {"NAMESPACE": namespace_of(documents)}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            found |= config(documents, source["configMapRef"]["name"])
    for entry in container.get("env", []):
        if "value" in entry:
            found[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda name: {**found, **known}[name[1]], entry["value"])
    return found


def pods(documents: list[Document]) -> Iterator[Pod]:
    """Every kind of pod that is made of the documents."""
    for document in documents:
        owner = f"{document['kind']}/{document['metadata']['name']}"
        if document["kind"] in ("StatefulSet", "Deployment"):
            template = document["spec"]["template"]
            yield Pod(owner, template["metadata"]["labels"], template["spec"], serves=True)
        if document["kind"] == "CronJob":
            template = document["spec"]["jobTemplate"]["spec"]["template"]
            yield Pod(owner, template["metadata"]["labels"], template["spec"], serves=False)
        if document["kind"] == "InferenceService":
            for part, spec in document["spec"].items():
                yield Pod(f"{owner}/{part}", kserve_labels(document, part), spec, serves=True)


def kserve_labels(inference_service: Document, part: str) -> dict[str, str]:
    """Labels that KServe (0.21, Standard mode) gives the Deployment, the Service and the pods of a part.

    As in its controller: pkg/controller/v1beta1/inferenceservice/components and reconcilers/deployment.
    """
    name = inference_service["metadata"]["name"]
    return {
        **inference_service["metadata"].get("labels", {}),
        **inference_service["spec"][part].get("labels", {}),
        "serving.kserve.io/inferenceservice": name,
        "component": part,
        "app": f"isvc.{name}-{part}",
    }


def services(documents: list[Document]) -> Iterator[Document]:
    """The Services there will be: those of the documents, and those that KServe makes.

    KServe's take the ports of the first container (reconcilers/service): the first one as 80, the others as they are.
    """
    yield from of_kind(documents, "Service")
    for document in of_kind(documents, "InferenceService"):
        for part, spec in document["spec"].items():
            labels = kserve_labels(document, part)
            ports = spec["containers"][0]["ports"]
            yield {
                "kind": "Service",
                "metadata": {
                    "name": f"{document['metadata']['name']}-{part}",
                    "namespace": document["metadata"]["namespace"],
                    "labels": labels,
                },
                "spec": {
                    "selector": {"app": labels["app"]},
                    "ports": [
                        {
                            "name": port["name"],
                            "port": 80 if place == 0 else port["containerPort"],
                            "targetPort": port["containerPort"],
                        }
                        for place, port in enumerate(ports)
                    ],
                },
            }


def matches(selector: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    """Whether a label selector of Kubernetes meets labels; an empty one meets all."""
    selector = selector or {}
    if set(selector) - {"matchLabels", "matchExpressions"}:
        raise ValueError(f"not a label selector: {selector}")
    for expression in selector.get("matchExpressions", []):
        key, values = expression["key"], expression.get("values", [])
        met = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }[expression["operator"]]
        if not met:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
