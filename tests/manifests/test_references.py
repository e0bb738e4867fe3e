"""Every selector meets something, every name that is referred to is there, every setting is one that the code reads."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest

from inference.settings import ServingSettings
from monitoring.rules import PREDICTOR, TRANSFORMER
from pipelines.settings import ClusterSettings, MonitoringSettings, PipelineSettings
from pipelines.submit import SUBMISSIONS
from tests.manifests.cluster import NAMESPACE, Document, Pod, kserve_labels, matches, of_kind, pods, services

OWNERS_SECRETS, OWNERS_CLAIMS = {"bucket"}, {"datasets"}  # made by hand: README says how
# Labels of pods elsewhere: kube-prometheus, the cluster's DNS, Kubeflow Pipelines (its API, and the pods of runs).
ELSEWHERE = {
    "kube-system": [{"k8s-app": "kube-dns"}],
    "monitoring": [{"app.kubernetes.io/name": "prometheus"}],
    "kubeflow": [{"app": "ml-pipeline"}, {"pipeline/runid": "any"}],
}
CLIENT = {"kuberec-client": "true"}


@pytest.fixture
def every_pod(documents: list[Document]) -> dict[str, Pod]:
    """Pods by what owns them."""
    return {pod.owner: pod for pod in pods(documents)}


def _config(documents: list[Document], name: str) -> dict[str, str]:
    (found,) = [
        one["data"] for one in of_kind(documents, "ConfigMap") if one["metadata"]["name"].startswith(f"{name}-")
    ]
    return dict(found)


def test_the_servers_accept_their_settings(documents: list[Document]) -> None:
    given = _config(documents, "serving")
    settings = ServingSettings.from_environment(given)
    assert given.keys() <= {ServingSettings.variable(name) for name in ServingSettings.model_fields}
    assert settings.clock == "wall"
    assert settings.store.startswith("s3://")
    assert settings.log.startswith("s3://")


def test_pipelines_accept_their_settings(documents: list[Document]) -> None:
    given = _config(documents, "pipelines")
    settings = PipelineSettings.from_environment(given)
    sections = (PipelineSettings, ClusterSettings, MonitoringSettings)
    read = {section.variable(name) for section in sections for name in section.model_fields}
    assert given.keys() - {"DATASET"} <= read
    assert settings.cluster.endpoint
    assert settings.cluster.secret in OWNERS_SECRETS
    assert settings.cluster.claim in OWNERS_CLAIMS
    assert settings.monitoring.pushgateway


def test_servers_and_pipelines_mean_the_same_places(documents: list[Document]) -> None:
    serving = ServingSettings.from_environment(_config(documents, "serving"))
    pipelines = PipelineSettings.from_environment(_config(documents, "pipelines"))
    name = serving.store.rsplit("/", 1)[1]
    assert pipelines.store(name) == serving.store
    assert pipelines.log(name) == serving.log
    assert _address(pipelines.redis) == _address(serving.redis)


def test_writable_places_are_volumes(documents: list[Document], every_pod: dict[str, Pod]) -> None:
    settings = ServingSettings.from_environment(_config(documents, "serving"))
    transformer = every_pod["InferenceService/recommender/transformer"]
    mounted = {mount["mountPath"] for mount in transformer.containers[0]["volumeMounts"]}
    assert {"/tmp", str(settings.cache), str(settings.spool)} <= mounted
    assert settings.online_dir.is_relative_to(settings.cache)


def test_configuration_and_accounts_that_pods_name_are_there(documents: list[Document]) -> None:
    configs = {one["metadata"]["name"] for one in of_kind(documents, "ConfigMap")} - {"kuberec"}  # that is Grafana's
    accounts = {one["metadata"]["name"] for one in of_kind(documents, "ServiceAccount")}
    read = set()
    for pod in pods(documents):
        assert pod.spec["serviceAccountName"] in accounts
        for container in pod.containers:
            for source in container.get("envFrom", []):
                if "configMapRef" in source:
                    read.add(source["configMapRef"]["name"])
                else:
                    assert source["secretRef"]["name"] in OWNERS_SECRETS
        for volume in pod.spec.get("volumes", []):
            assert "emptyDir" in volume or volume["persistentVolumeClaim"]["claimName"] in OWNERS_CLAIMS
    assert read == configs


def test_jobs_submit_pipelines_there_are_for_a_dataset_that_steps_see(documents: list[Document]) -> None:
    config = _config(documents, "pipelines")
    settings = PipelineSettings.from_environment(config)
    submitted = []
    for job in of_kind(documents, "CronJob"):
        pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        pipeline, *options = container["args"]
        submitted.append(pipeline)
        assert options == ["--dataset", "$(DATASET)", "--key", "$(JOB)-$(JOB_UID)"]
        # The name is for people: a Job that is made again under it is another one.
        labels = {one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"] for one in container["env"]}
        assert labels == {
            "JOB": "metadata.labels['batch.kubernetes.io/job-name']",
            "JOB_UID": "metadata.labels['batch.kubernetes.io/controller-uid']",
        }
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts[settings.cluster.claim] == settings.cluster.claim_path
    assert sorted(submitted) == sorted(SUBMISSIONS)
    dataset = PurePosixPath(config["DATASET"])
    assert str(dataset.parent) == settings.cluster.claim_path
    assert settings.store(dataset.name) == _config(documents, "serving")["KUBEREC_STORE"]


def test_addresses_lead_to_ports_of_services(documents: list[Document], every_pod: dict[str, Pod]) -> None:
    offered = {one["metadata"]["name"]: {port["port"] for port in one["spec"]["ports"]} for one in services(documents)}
    serving, pipelines = _config(documents, "serving"), _config(documents, "pipelines")
    for address in (serving["KUBEREC_PREDICTOR"], serving["KUBEREC_REDIS"], pipelines["KUBEREC_REDIS"],
                    pipelines["KUBEREC_PUSHGATEWAY"].removeprefix("http://")):  # fmt: skip
        name, port = _address(address)
        assert port in offered[name], address
    predictor = every_pod["InferenceService/recommender/predictor"]
    assert predictor.ports[int(serving["KUBEREC_GRPC_PORT"])] == "grpc"
    for part in ("predictor", "transformer"):
        assert every_pod[f"InferenceService/recommender/{part}"].ports[int(serving["KUBEREC_HTTP_PORT"])] == "http"


def test_services_meet_pods_with_their_ports(documents: list[Document]) -> None:
    for service in services(documents):
        met = [pod for pod in pods(documents) if matches({"matchLabels": service["spec"]["selector"]}, pod.labels)]
        assert len(met) == 1, service["metadata"]["name"]
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in (*met[0].ports, *met[0].ports.values())


def test_stateful_sets_select_their_own_pods_by_a_service_of_theirs(documents: list[Document]) -> None:
    names = {one["metadata"]["name"] for one in of_kind(documents, "Service")}
    for one in of_kind(documents, "StatefulSet"):
        assert one["spec"]["serviceName"] in names
        assert matches(one["spec"]["selector"], one["spec"]["template"]["metadata"]["labels"])


def test_prometheus_scrapes_each_server_under_the_name_of_the_rules(documents: list[Document]) -> None:
    jobs = {}
    for monitor in of_kind(documents, "ServiceMonitor"):
        met = [one for one in services(documents) if matches(monitor["spec"]["selector"], one["metadata"]["labels"])]
        assert len(met) == 1, monitor["metadata"]["name"]
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in [port["name"] for port in met[0]["spec"]["ports"]]
        named = [rule["replacement"] for rule in endpoint.get("relabelings", []) if rule["targetLabel"] == "job"]
        jobs[met[0]["metadata"]["name"]] = named
    assert jobs == {"recommender-transformer": [TRANSFORMER], "recommender-predictor": [PREDICTOR], "pushgateway": []}


def test_disruption_budgets_and_spreading_meet_one_kind_of_pod(documents: list[Document]) -> None:
    budgets = of_kind(documents, "PodDisruptionBudget")
    assert {one["metadata"]["name"] for one in budgets} == {"transformer", "predictor"}
    for budget in budgets:
        assert budget["spec"]["maxUnavailable"] == 1, "a budget that lets nothing go blocks the drain of a node"
        met = [pod.owner for pod in pods(documents) if matches(budget["spec"]["selector"], pod.labels)]
        assert met == [f"InferenceService/recommender/{budget['metadata']['name']}"]
    for pod in pods(documents):
        for spread in pod.spec.get("topologySpreadConstraints", []):
            assert matches(spread["labelSelector"], pod.labels)


def test_policies_select_pods_and_peers_that_exist(documents: list[Document]) -> None:
    for policy in of_kind(documents, "NetworkPolicy"):
        spec = policy["spec"]
        assert any(matches(spec["podSelector"], pod.labels) for pod in pods(documents)), policy["metadata"]["name"]
        peers = [peer for rule in spec.get("ingress", []) for peer in rule["from"]]
        peers += [peer for rule in spec.get("egress", []) for peer in rule["to"]]
        for peer in peers:
            assert "ipBlock" in peer or _labels_met(documents, peer), f"{policy['metadata']['name']}: {peer}"


def test_kserve_gives_the_labels_that_policies_ask_for(documents: list[Document]) -> None:
    (service,) = of_kind(documents, "InferenceService")
    assert kserve_labels(service, "predictor") == {
        "app": "isvc.recommender-predictor",
        "app.kubernetes.io/part-of": "kuberec",
        "component": "predictor",
        "serving.kserve.io/inferenceservice": "recommender",
    }


def _labels_met(documents: list[Document], peer: dict[str, Any]) -> list[dict[str, str]]:
    """Labels of the pods that a peer of a policy means."""
    if "namespaceSelector" not in peer:
        return [pod.labels for pod in pods(documents) if matches(peer["podSelector"], pod.labels)]
    wanted = peer["namespaceSelector"]["matchLabels"]
    if wanted == CLIENT:
        return [CLIENT]
    (name,) = wanted.values()
    return [labels for labels in ELSEWHERE[name] if matches(peer.get("podSelector"), labels)]


def _address(text: str) -> tuple[str, int]:
    """Service and port of `service[.namespace]:port`."""
    host, _, port = text.partition(":")
    name, _, namespace = host.partition(".")
    assert namespace in ("", NAMESPACE)
    return name, int(port)
