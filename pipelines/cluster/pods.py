"""Adds to the pods of steps the bucket's credentials and the volume with the datasets.

Writes the Kubernetes part of a compiled definition (kfp's `platforms` document). The pipeline definitions do not
contain it, so local runs and clusters share them. Secrets are referenced by name, never copied.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from pipelines.settings import ClusterSettings

REQUIRED = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
OPTIONAL = ("AWS_ENDPOINT_URL",)


def furnish(path: Path, settings: ClusterSettings) -> None:
    """Adds credentials and volume to a compiled definition; without settings for them the file is unchanged.

    Args:
        path: The YAML file, changed in place.
        settings: The names of the Secret and the claim, which are in the namespace of the pipelines.
    """
    given: dict[str, Any] = {}
    if settings.secret:
        given["secretAsEnv"] = [_secret(settings.secret, REQUIRED), _secret(settings.secret, OPTIONAL, optional=True)]
    if settings.claim:
        given["pvcMount"] = [
            {
                "constant": settings.claim,
                "mountPath": settings.claim_path,
                "pvcNameParameter": _constant(settings.claim),
            }
        ]
    if not given:
        return
    compiled = yaml.safe_load(path.read_text(encoding="utf-8"))
    steps = [name for name, executor in compiled["deploymentSpec"]["executors"].items() if "container" in executor]
    platforms = {"kubernetes": {"deploymentSpec": {"executors": {name: copy.deepcopy(given) for name in steps}}}}
    path.write_text(yaml.safe_dump_all([compiled, {"platforms": platforms}], sort_keys=False), encoding="utf-8")


def _secret(name: str, keys: tuple[str, ...], *, optional: bool = False) -> dict[str, Any]:
    """Keys of a Secret as environment variables of the same names."""
    variables = [{"secretKey": key, "envVar": key} for key in keys]
    return {
        "keyToEnv": variables,
        "optional": optional,
        "secretName": name,
        "secretNameParameter": _constant(name),
    }


def _constant(name: str) -> dict[str, Any]:
    """A name in the form that new servers read; old servers read the plain field next to it."""
    return {"runtimeValue": {"constant": name}}
