"""Prepares a compiled definition for a cluster: images, resources, credentials and security of the pods of its steps.

The pipeline definitions contain none of it, so local runs and clusters share them. The Kubernetes part is the second
document of the file (`platforms`), which the API, the UI and the client of Kubeflow Pipelines read with the first.
Secrets are referenced by name, never copied.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import yaml
from kfp import compiler
from kfp.dsl.graph_component import GraphComponent

from components.retrieval.config import CHECKPOINTS_VARIABLE
from pipelines.cluster.images import image_names
from pipelines.cluster.placement import node_labels, tolerations
from pipelines.settings import ClusterSettings

# Every name with which botocore and fsspec find a bucket. All are optional: with a cloud identity a Secret holds only
# the region or the endpoint, and a step without credentials fails with a sentence instead of waiting for a key.
CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)
CA_FOLDER = "/etc/kuberec/ca"
REDIS_FOLDER = "/var/run/secrets/redis"
GPU = "nvidia.com/gpu"
GPU_STEPS = re.compile(r"exec-fit-towers-op(-\d+)?")
FINAL_STEPS = re.compile(r"exec-(require-.+|refuse-op|publish-report-op)(-\d+)?")  # gates: their refusal is final
# A lost node or an unreachable bucket must not end a run of hours. On one machine an error would only come later.
RETRIES = {"maxRetryCount": 2, "backoffDuration": "60s", "backoffFactor": 2.0, "backoffMaxDuration": "600s"}
_MEMORY = re.compile(r"(\d+)([MG])")
_UNITS = {"M": 1, "G": 1000}  # in megabytes


def compile_pipeline(pipeline: GraphComponent, path: Path, settings: ClusterSettings) -> None:
    """Compiles a pipeline to a file that a person can upload and `Cluster` submits.

    Args:
        pipeline: Definition of the pipeline.
        path: The YAML file to write.
        settings: Settings of the cluster.

    Raises:
        SettingsError: The tag of the images is unknown.
    """
    compiler.Compiler().compile(pipeline, str(path))
    compiled = yaml.safe_load(path.read_text(encoding="utf-8"))
    names = image_names(settings.images.images)
    pods = {}
    for name, executor in compiled["deploymentSpec"]["executors"].items():
        on_gpu = settings.gpus > 0 and GPU_STEPS.fullmatch(name) is not None
        _prepare(executor["container"], names, settings, on_gpu=on_gpu)
        pods[name] = _pod(settings, on_gpu=on_gpu)
    _retry(compiled)
    platforms = {"kubernetes": {"deploymentSpec": {"executors": copy.deepcopy(pods)}}}
    path.write_text(yaml.safe_dump_all([compiled, {"platforms": platforms}], sort_keys=False), encoding="utf-8")


def _retry(compiled: dict[str, Any]) -> None:
    """Gives every task that works three attempts."""
    components = compiled["components"]
    for dag in (part["dag"] for part in (compiled["root"], *components.values()) if "dag" in part):
        for task in dag["tasks"].values():
            executor = components[task["componentRef"]["name"]].get("executorLabel")
            if executor is not None and not FINAL_STEPS.fullmatch(executor):
                task["retryPolicy"] = dict(RETRIES)


def _prepare(container: dict[str, Any], names: str, settings: ClusterSettings, *, on_gpu: bool) -> None:
    """Sets image, environment and resources of the container of a step."""
    container["image"] = names.replace("{name}", container["image"])
    variables = {}
    if settings.ca_bundle:
        variables["AWS_CA_BUNDLE"] = f"{CA_FOLDER}/{settings.ca_file}"
    if settings.checkpoints:
        variables[CHECKPOINTS_VARIABLE] = settings.checkpoints
    if settings.redis_secret:
        variables["KUBEREC_REDIS_PASSWORD_FILE"] = f"{REDIS_FOLDER}/password"
    container["env"] = [
        *container.get("env", []),
        *({"name": name, "value": value} for name, value in variables.items()),
    ]
    resources = container.setdefault("resources", {})
    for name in ("Request", "Limit"):
        if asked := _MEMORY.fullmatch(resources.get(f"resourceMemory{name}", "")):
            megabytes = round(int(asked[1]) * _UNITS[asked[2]] * settings.memory_factor)
            resources |= {f"resourceMemory{name}": f"{megabytes}M", f"memory{name}": megabytes / 1000}
    if on_gpu:
        count = str(settings.gpus)
        resources["accelerator"] = {"type": GPU, "resourceType": GPU, "count": count, "resourceCount": count}


def _pod(settings: ClusterSettings, *, on_gpu: bool) -> dict[str, Any]:
    """The Kubernetes part of a step, as the JSON form of kfp's message `KubernetesExecutorConfig`.

    Kubeflow Pipelines itself sets what the standard `restricted` asks for in addition: no privilege escalation, no
    capabilities, and the default seccomp profile.
    """
    user = {"runAsUser": settings.run_as, "runAsGroup": settings.run_as} if settings.run_as else {}
    pod: dict[str, Any] = {
        "securityContext": {**user, "runAsNonRoot": True},
        "imagePullPolicy": "IfNotPresent",
        "activeDeadlineSeconds": str(settings.timeout_seconds),
        "emptyDirMounts": [{"volumeName": "tmp", "mountPath": "/tmp"}],  # the root may be read-only
    }
    if settings.images.image_pull_secret:
        name = settings.images.image_pull_secret
        pod["imagePullSecret"] = [{"secretName": name, "secretNameParameter": _constant(name)}]
    if settings.secret:
        variables = [{"secretKey": key, "envVar": key} for key in CREDENTIALS]
        pod["secretAsEnv"] = [
            {
                "keyToEnv": variables,
                "optional": True,
                "secretName": settings.secret,
                "secretNameParameter": _constant(settings.secret),
            }
        ]
    if settings.redis_secret:
        pod["secretAsVolume"] = [
            {
                "secretName": settings.redis_secret,
                "secretNameParameter": _constant(settings.redis_secret),
                "mountPath": REDIS_FOLDER,
            }
        ]
    if settings.ca_bundle:
        name = settings.ca_config_map
        pod["configMapAsVolume"] = [
            {"configMapName": name, "configMapNameParameter": _constant(name), "mountPath": CA_FOLDER}
        ]
    if settings.claim:
        mount = {"constant": settings.claim, "pvcNameParameter": _constant(settings.claim)}
        pod["pvcMount"] = [{**mount, "mountPath": settings.claim_path}]
    labels, tolerated = node_labels(settings.node_selector), tolerations(settings.tolerations)
    if on_gpu:
        labels |= node_labels(settings.gpu_node_selector)
        tolerated += tolerations(settings.gpu_tolerations)
    if labels:
        pod["nodeSelector"] = {"labels": labels}
    if tolerated:
        pod["tolerations"] = tolerated
    return pod


def _constant(name: str) -> dict[str, Any]:
    """A name in the form that new servers read; old servers read the plain field next to it."""
    return {"runtimeValue": {"constant": name}}
