"""What every pod keeps to: those of CronJobs, and those that KServe makes of the InferenceService."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.manifests.cluster import Document, Pod, of_kind, pods

IMAGE = re.compile(r"(?P<name>[a-z0-9._/-]+):(?P<tag>\d+\.\d+\.\d+[a-z0-9.-]*|v\d+\.\d+\.\d+)(@sha256:[0-9a-f]{64})?")
SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL", re.IGNORECASE)
NAMES_ONE = re.compile(r"KUBEREC_\w+_SECRET")
ADDRESS_WITH_PASSWORD = re.compile(r"://[^/\s]*:[^/\s]*@")


@pytest.fixture
def containers(documents: list[Document]) -> list[tuple[Pod, dict[str, Any]]]:
    """Every container and its pod."""
    found = [(pod, container) for pod in pods(documents) for container in pod.containers]
    assert {pod.owner for pod, _ in found} - {"StatefulSet/redis", "StatefulSet/pushgateway"} == {
        "InferenceService/recommender/predictor",
        "InferenceService/recommender/transformer",
        "CronJob/refresh",
        "CronJob/drift",
        "CronJob/training",
    }
    return found


def test_nobody_is_root(containers: list[tuple[Pod, dict[str, Any]]]) -> None:
    for pod, container in containers:
        context = {**pod.spec["securityContext"], **container["securityContext"]}
        assert context["runAsNonRoot"] is True, pod.owner
        assert context["runAsUser"] > 0, pod.owner
        assert context["runAsGroup"] > 0, pod.owner
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, pod.owner


def test_containers_can_change_nothing_and_gain_nothing(containers: list[tuple[Pod, dict[str, Any]]]) -> None:
    for pod, container in containers:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, pod.owner
        assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & pod.spec.keys()
        assert not any("hostPort" in port for port in container.get("ports", []))


def test_volumes_are_bounded_and_none_of_the_node(containers: list[tuple[Pod, dict[str, Any]]]) -> None:
    for pod, _ in containers:
        for volume in pod.spec.get("volumes", []):
            kind = set(volume) - {"name"}
            assert kind <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}, (
                f"{pod.owner} mounts {kind}"
            )
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], f"{pod.owner}: {volume['name']}"


def test_what_volumes_may_hold_fits_into_the_limit(containers: list[tuple[Pod, dict[str, Any]]]) -> None:
    for pod, _ in containers:
        limit = sum(_amount(one["resources"]["limits"]["ephemeral-storage"]) for one in pod.containers)
        held = sum(_amount(one["emptyDir"]["sizeLimit"]) for one in pod.spec.get("volumes", []) if "emptyDir" in one)
        assert held < limit, f"{pod.owner} would be evicted by its own volumes"


def test_every_mount_is_a_volume_and_every_volume_mounted(documents: list[Document]) -> None:
    claims = {
        f"StatefulSet/{one['metadata']['name']}": {
            claim["metadata"]["name"] for claim in one["spec"]["volumeClaimTemplates"]
        }
        for one in of_kind(documents, "StatefulSet")
    }
    for pod in pods(documents):
        volumes = {volume["name"] for volume in pod.spec.get("volumes", [])} | claims.get(pod.owner, set())
        mounts = [mount for container in pod.containers for mount in container.get("volumeMounts", [])]
        assert {mount["name"] for mount in mounts} == volumes, pod.owner
        assert len({mount["mountPath"] for mount in mounts}) == len(mounts), pod.owner


def test_requests_and_limits(containers: list[tuple[Pod, dict[str, Any]]]) -> None:
    for pod, container in containers:
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert requests.keys() == limits.keys(), pod.owner
        for name, asked in requests.items():
            assert _amount(asked) <= _amount(limits[name]), f"{pod.owner}: {name}"


def test_probes_ask_a_port_that_is_there(containers: list[tuple[Pod, dict[str, Any]]]) -> None:
    for pod, container in containers:
        probes = {name: probe for name, probe in container.items() if name.endswith("Probe")}
        if pod.serves:
            assert {"readinessProbe", "livenessProbe"} <= probes.keys(), pod.owner
        for name, probe in probes.items():
            asked = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port")
            assert asked is None or asked in pod.ports.values(), f"{pod.owner}: {name}"
            assert probe["timeoutSeconds"] <= probe["periodSeconds"], f"{pod.owner}: {name}"


def test_before_the_first_release_nothing_restarts_and_nothing_is_ready(documents: list[Document]) -> None:
    (service,) = of_kind(documents, "InferenceService")
    for part in ("predictor", "transformer"):
        (container,) = service["spec"][part]["containers"]
        asked = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
        assert asked == {
            "startup": "/v2/health/live",
            "liveness": "/v2/health/live",
            "readiness": "/v2/health/ready",
        }


def test_a_rollout_keeps_a_single_pod_until_the_next_is_ready(documents: list[Document]) -> None:
    (service,) = of_kind(documents, "InferenceService")
    for part in service["spec"].values():
        if part["minReplicas"] == 1:
            assert part["deploymentStrategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_images_have_a_full_version(containers: list[tuple[Pod, dict[str, Any]]]) -> None:
    for pod, container in containers:
        assert IMAGE.fullmatch(container["image"]), f"{pod.owner}: {container['image']}"
        assert container["imagePullPolicy"] == "IfNotPresent"


@pytest.mark.parametrize("image", ["redis", "redis:latest", "redis:7", "redis:7.4-bookworm", "kuberec/serving:main"])
def test_a_floating_image_is_noticed(image: str) -> None:
    assert not IMAGE.fullmatch(image)


def test_no_pod_gets_a_token_of_the_api(documents: list[Document]) -> None:
    accounts = {one["metadata"]["name"]: one for one in of_kind(documents, "ServiceAccount")}
    used = {pod.spec["serviceAccountName"] for pod in pods(documents)}
    assert used - {"default-editor"} <= accounts.keys() <= used, "a profile has an account of its own"
    assert all(account["automountServiceAccountToken"] is False for account in accounts.values())
    assert all(pod.spec["automountServiceAccountToken"] is False for pod in pods(documents))
    volumes = [volume for pod in pods(documents) for volume in pod.spec.get("volumes", []) if "projected" in volume]
    sources = [source["serviceAccountToken"] for volume in volumes for source in volume["projected"]["sources"]]
    assert all(source["audience"] == "pipelines.kubeflow.org" for source in sources), "a token of the API names none"


def test_no_secret_is_written_down(documents: list[Document]) -> None:
    values = [(name, value) for one in of_kind(documents, "ConfigMap") for name, value in one["data"].items()]
    for pod in pods(documents):
        for container in pod.containers:
            values += [(entry["name"], entry.get("value", "")) for entry in container.get("env", [])]
            values += [("argument", text) for text in (*container.get("args", []), *container.get("command", []))]
    assert values
    for name, value in values:
        names_a_file = name.endswith("_FILE") and value.startswith("/")
        assert not (SECRET.search(name) and value) or NAMES_ONE.fullmatch(name) or names_a_file, name
        assert not ADDRESS_WITH_PASSWORD.search(value), name


def test_cron_jobs_never_pile_up(documents: list[Document]) -> None:
    for job in of_kind(documents, "CronJob"):
        spec = job["spec"]
        assert spec["concurrencyPolicy"] == "Forbid"
        assert spec["timeZone"] == "Etc/UTC"
        assert spec["startingDeadlineSeconds"] >= 100, "the controller looks every 10 s and counts missed starts"
        assert spec["successfulJobsHistoryLimit"] <= 3
        assert spec["failedJobsHistoryLimit"] <= 3
        assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 3600
        assert spec["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def _amount(quantity: str) -> float:
    """The number that a quantity of Kubernetes stands for."""
    units = {"": 1.0, "m": 1e-3, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}
    found = re.fullmatch(r"(\d+)(m|Ki|Mi|Gi|)", quantity)
    assert found, f"{quantity} is no quantity of the usual units"
    return int(found[1]) * units[found[2]]
