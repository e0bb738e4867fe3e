"""A namespace with the standard `restricted`, a LimitRange and a ResourceQuota admits every pod of ours."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from tests.manifests.admission import Spec, uncounted, violations
from tests.manifests.cluster import Document, pods


def test_restricted_admits_every_pod(documents: list[Document]) -> None:
    assert {pod.owner: found for pod in pods(documents) if (found := list(violations(pod.spec)))} == {}


def test_a_quota_admits_every_pod(documents: list[Document]) -> None:
    assert {pod.owner: found for pod in pods(documents) if (found := list(uncounted(pod.spec)))} == {}


def _of_container(**changed: object) -> Callable[[Spec], None]:
    return lambda spec: spec["containers"][0]["securityContext"].update(changed)


def _of_pod(**changed: object) -> Callable[[Spec], None]:
    return lambda spec: spec["securityContext"].update(changed)


DAMAGES: dict[str, Callable[[Spec], None]] = {
    "hostNetwork": lambda spec: spec.update(hostNetwork=True),
    "volume": lambda spec: spec["volumes"].append({"name": "node", "hostPath": {"path": "/"}}),
    "sysctls": _of_pod(sysctls=[{"name": "kernel.msgmax", "value": "1"}]),
    "hostPort": lambda spec: spec["containers"][0].update(ports=[{"containerPort": 1, "hostPort": 1}]),
    "privileged": _of_container(privileged=True),
    "allowPrivilegeEscalation": lambda spec: spec["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
    "capabilities": _of_container(capabilities={"drop": ["ALL"], "add": ["NET_ADMIN"]}),
    "procMount": _of_container(procMount="Unmasked"),
    "runAsNonRoot": _of_container(runAsNonRoot=False),
    "runAsUser": _of_container(runAsUser=0),
    "seccompProfile": lambda spec: spec["securityContext"].pop("seccompProfile"),
    "seLinuxOptions": _of_pod(seLinuxOptions={"type": "spc_t"}),
    "appArmorProfile": _of_container(appArmorProfile={"type": "Unconfined"}),
    "hostProcess": _of_pod(windowsOptions={"hostProcess": True}),
}


@pytest.mark.parametrize("named", DAMAGES)
def test_a_refused_pod_is_noticed(documents: list[Document], named: str) -> None:
    for kind in ("containers", "initContainers"):
        spec = copy.deepcopy(next(pod.spec for pod in pods(documents) if not pod.serves))
        DAMAGES[named](spec)
        if kind == "initContainers":
            spec["initContainers"] = spec["containers"]
            spec["containers"] = copy.deepcopy(
                next(pod.spec["containers"] for pod in pods(documents) if not pod.serves)
            )
        assert any(named in found for found in violations(spec)), list(violations(spec))


def test_a_container_without_a_limit_is_noticed(documents: list[Document]) -> None:
    spec = copy.deepcopy(next(pods(documents)).spec)
    del spec["containers"][0]["resources"]["limits"]["ephemeral-storage"]
    assert [found.split(": ")[1] for found in uncounted(spec)] == ["limits.ephemeral-storage"]
