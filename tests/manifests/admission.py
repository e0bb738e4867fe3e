"""What an API server admits to a namespace: the pod security standard `restricted`, a LimitRange and a ResourceQuota.

The standard after https://kubernetes.io/docs/concepts/security/pod-security-standards/, for pods on Linux.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

COUNTED = ("cpu", "memory", "ephemeral-storage")  # what a quota may ask every container to state
VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
}
SELINUX_TYPES = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
SECCOMP, APPARMOR = ("RuntimeDefault", "Localhost"), (None, "RuntimeDefault", "Localhost")
Spec = dict[str, Any]


def containers_of(spec: Spec) -> list[Spec]:
    """Containers of every kind."""
    kinds = ("containers", "initContainers", "ephemeralContainers")
    return [container for kind in kinds for container in spec.get(kind, [])]


def violations(spec: Spec) -> Iterator[str]:
    """What the standard `restricted` refuses of a PodSpec."""
    pod = spec.get("securityContext", {})
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield name
    for volume in spec.get("volumes", []):
        if kinds := set(volume) - {"name"} - VOLUMES:
            yield f"volume {volume['name']}: {kinds}"
    if any(one["name"] not in SAFE_SYSCTLS for one in pod.get("sysctls", [])):
        yield "sysctls"
    yield from _contexts("pod", pod)
    for container in containers_of(spec):
        context = container.get("securityContext", {})
        name = container["name"]
        yield from _contexts(name, context)
        yield from (f"{name}: hostPort" for port in container.get("ports", []) if port.get("hostPort"))
        if context.get("privileged"):
            yield f"{name}: privileged"
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: allowPrivilegeEscalation"
        capabilities = context.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []) or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"{name}: capabilities"
        if context.get("procMount", "Default") != "Default":
            yield f"{name}: procMount"
        if context.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
            yield f"{name}: runAsNonRoot"
        if context.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in SECCOMP:
            yield f"{name}: seccompProfile"


def _contexts(name: str, context: Spec) -> Iterator[str]:
    """What is refused in a security context of a pod as in one of a container."""
    if context.get("runAsUser") == 0:
        yield f"{name}: runAsUser"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield f"{name}: hostProcess"
    selinux = context.get("seLinuxOptions", {})
    if selinux.get("type") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield f"{name}: seLinuxOptions"
    if context.get("appArmorProfile", {}).get("type") not in APPARMOR:
        yield f"{name}: appArmorProfile"


def uncounted(spec: Spec) -> Iterator[str]:
    """What a ResourceQuota over all requests and limits refuses: containers that leave one out."""
    for container in containers_of(spec):
        for kind in ("requests", "limits"):
            stated = container.get("resources", {}).get(kind, {})
            yield from (f"{container['name']}: {kind}.{name}" for name in COUNTED if name not in stated)
