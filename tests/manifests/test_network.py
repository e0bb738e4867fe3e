"""What may talk to what, worked out of the network policies as the cluster would."""

from __future__ import annotations

from typing import Any

import pytest

from tests.manifests.cluster import NAMESPACE, Document, matches, of_kind, pods

NAMES = {
    "transformer": "InferenceService/recommender/transformer",
    "predictor": "InferenceService/recommender/predictor",
    "redis": "StatefulSet/redis",
    "pushgateway": "StatefulSet/pushgateway",
    "submitter": "CronJob/drift",
}
# Namespace labels and pod labels of those outside.
OUTSIDE = {
    "gateway": ({"kubernetes.io/metadata.name": "gateway", "kuberec-client": "true"}, {"app": "envoy"}),
    "stranger": ({"kubernetes.io/metadata.name": "default"}, {"component": "transformer"}),
    "prometheus": ({"kubernetes.io/metadata.name": "monitoring"}, {"app.kubernetes.io/name": "prometheus"}),
    "grafana": ({"kubernetes.io/metadata.name": "monitoring"}, {"app.kubernetes.io/name": "grafana"}),
    "step": ({"kubernetes.io/metadata.name": "kubeflow"}, {"pipeline/runid": "7e1c"}),
    "kfp-api": ({"kubernetes.io/metadata.name": "kubeflow"}, {"app": "ml-pipeline"}),
    "dns": ({"kubernetes.io/metadata.name": "kube-system"}, {"k8s-app": "kube-dns"}),
}
ALLOWED = {
    ("gateway", "transformer", 8080),
    ("prometheus", "transformer", 8080),
    ("prometheus", "predictor", 8080),
    ("prometheus", "pushgateway", 9091),
    ("transformer", "predictor", 8081),
    ("transformer", "redis", 6379),
    ("step", "redis", 6379),
    ("step", "pushgateway", 9091),
    ("submitter", "kfp-api", 8888),
    *((name, "dns", 53) for name in NAMES),
}
PORTS = (53, 6379, 8080, 8081, 8888, 9091)


def test_nothing_else_gets_through(documents: list[Document]) -> None:
    labels = {pod.owner: pod.labels for pod in pods(documents)}
    inside = {name: ({"kubernetes.io/metadata.name": NAMESPACE}, labels[owner]) for name, owner in NAMES.items()}
    everybody = {**inside, **OUTSIDE}
    policies = [policy["spec"] for policy in of_kind(documents, "NetworkPolicy")]
    through = set()
    for source, sent_by in everybody.items():
        for target, met in everybody.items():
            if source == target or not {source, target} & inside.keys():
                continue
            leaves = source not in inside or _opens(policies, "egress", sent_by[1], met)
            arrives = target not in inside or _opens(policies, "ingress", met[1], sent_by)
            through |= {(source, target, port) for port in PORTS if _both(leaves, port) and _both(arrives, port)}
    assert through == ALLOWED


@pytest.mark.parametrize(
    ("name", "reaches"),
    [("transformer", True), ("predictor", True), ("submitter", True), ("redis", False), ("pushgateway", False)],
)
def test_who_reaches_the_bucket(documents: list[Document], name: str, reaches: bool) -> None:
    labels = {pod.owner: pod.labels for pod in pods(documents)}[NAMES[name]]
    blocks = [
        (peer["ipBlock"]["cidr"], port["port"])
        for policy in of_kind(documents, "NetworkPolicy")
        if matches(policy["spec"]["podSelector"], labels)
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        if "ipBlock" in peer
        for port in rule["ports"]
    ]
    assert sorted(blocks) == ([("0.0.0.0/0", 443), ("::/0", 443)] if reaches else [])
    policies = [policy["spec"] for policy in of_kind(documents, "NetworkPolicy")]
    # Kubeflow Pipelines brings one of two object stores; a policy is about ports of pods, which differ.
    for store, port in (("minio", 9000), ("seaweedfs", 8333)):
        beside = ({"kubernetes.io/metadata.name": "kubeflow"}, {"app": store})
        assert _both(_opens(policies, "egress", labels, beside), port) == reaches, store


def _both(opened: bool | set[int], port: int) -> bool:
    return opened if isinstance(opened, bool) else port in opened


def _opens(
    policies: list[dict[str, Any]], way: str, own: dict[str, str], other: tuple[dict[str, str], dict[str, str]]
) -> bool | set[int]:
    """Ports that the policies of a pod open towards another; all of them where no policy selects it."""
    selected = [one for one in policies if matches(one["podSelector"], own) and way.title() in one["policyTypes"]]
    if not selected:
        return True
    return {
        port["port"]
        for policy in selected
        for rule in policy.get(way, [])
        for peer in rule["from" if way == "ingress" else "to"]
        if _meets(peer, other)
        for port in rule["ports"]
    }


def _meets(peer: dict[str, Any], other: tuple[dict[str, str], dict[str, str]]) -> bool:
    """Whether a peer of a policy means a pod of a namespace."""
    if "ipBlock" in peer:
        return False
    namespace, labels = other
    if "namespaceSelector" in peer:
        return matches(peer["namespaceSelector"], namespace) and matches(peer.get("podSelector"), labels)
    return namespace["kubernetes.io/metadata.name"] == NAMESPACE and matches(peer["podSelector"], labels)
