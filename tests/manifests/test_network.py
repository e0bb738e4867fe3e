"""What may talk to what, worked out of the network policies as the cluster would."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

import yaml

from tests.kit.checkout import ROOT
from tests.manifests.cluster import Document, config, matches, namespace_of, of_kind, pods

NAMES = {
    "InferenceService/recommender/transformer": "transformer",
    "InferenceService/recommender/predictor": "predictor",
    "StatefulSet/redis": "redis",
    "StatefulSet/pushgateway": "pushgateway",
    "CronJob/drift": "submitter",
}
USERS_OF_THE_BUCKET = ("transformer", "predictor", "submitter")
PORTS = (53, 80, 443, 988, 5353, 6379, 6380, 8080, 8081, 8333, 8888, 9000, 9091, 9121, 9444)


@dataclass(frozen=True)
class Peer:
    """An end of a connection.

    Attributes:
        labels: Of a pod; empty for an address.
        namespace: Labels of its namespace.
        address: Of something that is not a pod.
        listens: Ports of a pod of ours; None if any port counts.
    """

    labels: dict[str, str]
    namespace: dict[str, str]
    address: str = ""
    listens: frozenset[int] | None = None


def _pod(namespace: str, labels: dict[str, str], **more: str) -> Peer:
    return Peer(labels, {"kubernetes.io/metadata.name": namespace, **more})


def _ours(documents: list[Document]) -> dict[str, Peer]:
    namespace = {"kubernetes.io/metadata.name": namespace_of(documents)}
    return {
        NAMES[pod.owner]: Peer(pod.labels, namespace, listens=frozenset(pod.ports))
        for pod in pods(documents)
        if pod.owner in NAMES
    }


def _others(site: dict[str, str]) -> dict[str, Peer]:
    return {
        "gateway": _pod("gateway", {"app": "envoy"}, **{"kuberec-client": site["CLIENT_LABEL"]}),
        "client of another installation": _pod("shop-c", {"app": "web"}, **{"kuberec-client": "shop-c"}),
        "stranger": _pod("default", {"component": "transformer"}),
        "prometheus": _pod(site["MONITORING_NAMESPACE"], {"app.kubernetes.io/name": "prometheus"}),
        "grafana": _pod(site["MONITORING_NAMESPACE"], {"app.kubernetes.io/name": "grafana"}),
        "step": _pod(site["STEPS_NAMESPACE"], {"pipeline/runid": "7e1c"}),
        "step elsewhere": _pod("team-z", {"pipeline/runid": "7e1c"}),
        "kfp-api": _pod(site["KUBEFLOW_NAMESPACE"], {"app": "ml-pipeline"}),
        "store": _pod(site["OBJECT_STORE_NAMESPACE"], {"app": "minio"}),
        "dns": _pod("kube-system", {"k8s-app": "kube-dns"}),
        "openshift dns": _pod("openshift-dns", {"dns.operator.openshift.io/daemonset-dns": "default"}),
        "node's dns": Peer({}, {}, "169.254.20.10"),
        "internet": Peer({}, {}, "203.0.113.7"),
        "internet 6": Peer({}, {}, "2001:db8::7"),
        "eks agent": Peer({}, {}, "169.254.170.23"),
        "metadata": Peer({}, {}, "169.254.169.254"),
        "metadata 6": Peer({}, {}, "fd00:ec2::254"),
        "gke metadata": Peer({}, {}, "169.254.169.252"),
    }


def _expected(documents: list[Document], site: dict[str, str]) -> set[tuple[str, str, int]]:
    """Connections that are wanted: source, target, port."""
    ours = _ours(documents)
    wanted = {
        ("gateway", "transformer", 8080),
        ("prometheus", "transformer", 8080),
        ("prometheus", "predictor", 8080),
        ("transformer", "predictor", 8081),
        ("submitter", "kfp-api", 8888),
    }
    for name in ours:
        wanted |= {(name, "dns", 53), (name, "node's dns", 53), (name, "openshift dns", 5353)}
    for name in USERS_OF_THE_BUCKET:
        wanted |= {(name, target, int(site["BUCKET_PORT"])) for target in ("internet", "internet 6")}
        # An object store may be in the namespace of Kubeflow Pipelines: then every pod there is reached on its ports.
        inside = [one for one, peer in _others(site).items() if _in(peer, site["OBJECT_STORE_NAMESPACE"])]
        wanted |= {(name, one, port) for one in inside for port in (int(site["OBJECT_STORE_PORT"]), 8333)}
    if any(one["metadata"]["name"] == "cloud-identity" for one in of_kind(documents, "NetworkPolicy")):
        for name in USERS_OF_THE_BUCKET:
            wanted |= {(name, target, 80) for target in ("eks agent", "metadata", "metadata 6")}
            wanted.add((name, "gke metadata", 988))
    if "redis" in ours:
        wanted |= {("transformer", "redis", 6379), ("step", "redis", 6379), ("prometheus", "redis", 9121)}
        wanted |= {("step", "pushgateway", 9091), ("prometheus", "pushgateway", 9091)}
    else:  # the installation `cloud`
        port = int(site["REDIS_PORT"])
        wanted |= {("transformer", one, port) for one, peer in _others(site).items() if peer.labels}
        wanted |= {("transformer", target, port) for target in ("internet", "internet 6")}
    return wanted


def _in(peer: Peer, namespace: str) -> bool:
    return peer.namespace.get("kubernetes.io/metadata.name") == namespace


def test_nothing_else_gets_through(documents: list[Document]) -> None:
    site = config(documents, "site")
    ours = _ours(documents)
    everybody = {**_others(site), **ours}
    policies = [policy["spec"] for policy in of_kind(documents, "NetworkPolicy")]
    through = set()
    for source, sends in everybody.items():
        for target, receives in everybody.items():
            if source == target or not {source, target} & ours.keys() or sends.address:
                continue
            leaves = _opens(policies, "egress", sends, receives) if source in ours else set(PORTS)
            arrives = _opens(policies, "ingress", receives, sends) if target in ours else set(PORTS)
            ports = set(PORTS) if receives.listens is None else receives.listens
            through |= {(source, target, port) for port in leaves & arrives & ports}
    assert through == _expected(documents, site)


def test_every_pod_of_ours_is_isolated(documents: list[Document]) -> None:
    policies = [policy["spec"] for policy in of_kind(documents, "NetworkPolicy")]
    for pod in pods(documents):
        for way in ("Ingress", "Egress"):
            assert any(matches(one["podSelector"], pod.labels) and way in one["policyTypes"] for one in policies)


def test_pods_of_others_in_a_profile_keep_their_network(documents: list[Document]) -> None:
    """A policy that selects a pod isolates it: a step or a notebook would lose its network."""
    if of_kind(documents, "PodDefault"):
        for policy in of_kind(documents, "NetworkPolicy"):
            assert not matches(policy["spec"]["podSelector"], {"pipeline/runid": "7e1c"}), policy["metadata"]["name"]


def test_the_object_store_of_pipelines_admits_every_namespace_that_is_rendered(documents: list[Document]) -> None:
    (policy,) = yaml.safe_load_all((ROOT / "manifests" / "kubeflow" / "object-store.yaml").read_text())
    ((peer,),) = [rule["from"] for rule in policy["spec"]["ingress"]]
    for namespace in of_kind(documents, "Namespace"):
        assert matches(peer["namespaceSelector"], namespace["metadata"]["labels"])


def _opens(policies: list[dict[str, Any]], way: str, own: Peer, other: Peer) -> set[int]:
    """Ports that the policies of a pod open towards another; all of them where no policy selects it."""
    selected = [
        one for one in policies if matches(one["podSelector"], own.labels) and way.title() in one["policyTypes"]
    ]
    if not selected:
        return set(PORTS)
    return {
        port["port"]
        for policy in selected
        for rule in policy.get(way, [])
        for peer in rule["from" if way == "ingress" else "to"]
        if _meets(peer, own, other)
        for port in rule["ports"]
    }


def _meets(peer: dict[str, Any], own: Peer, other: Peer) -> bool:
    """Whether a peer of a policy of `own` means the other one."""
    if "ipBlock" in peer:
        return bool(other.address) and _within(other.address, peer["ipBlock"])
    if other.address:
        return False
    if "namespaceSelector" in peer:
        return matches(peer["namespaceSelector"], other.namespace) and matches(peer.get("podSelector"), other.labels)
    return own.namespace == other.namespace and matches(peer["podSelector"], other.labels)


def _within(address: str, block: dict[str, Any]) -> bool:
    found = ipaddress.ip_address(address)
    return found in ipaddress.ip_network(block["cidr"]) and not any(
        found in ipaddress.ip_network(cidr) for cidr in block.get("except", [])
    )
