"""Installations next to the overlays of the repository: copies of `overlays/cluster`, as owners make them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.kit.checkout import ROOT

SHIPPED = tuple(sorted(path.name for path in (ROOT / "manifests" / "overlays").iterdir()))


@dataclass(frozen=True)
class Installation:
    """What an owner changes in a copy of `overlays/cluster`.

    Attributes:
        namespace: Its namespace.
        components: Components in the order of the overlay.
        site: Changed settings of `site.yaml`.
        serving: Content of `serving.env`.
        pipelines: Content of `pipelines.env`.
    """

    namespace: str
    components: tuple[str, ...]
    serving: str
    pipelines: str
    site: Mapping[str, str] = field(default_factory=dict)


KFP = "KUBEREC_KFP_ENDPOINT=http://ml-pipeline.{}.svc:8888\n"
ADDED: Mapping[str, Installation] = {
    "tenant": Installation(  # differs from `cluster` by what the README says that a second installation needs
        namespace="tenant",
        components=("redis", "pushgateway", "site"),
        serving="KUBEREC_STORE=s3://tenant/stores/shop\nKUBEREC_LOG=s3://tenant/logs/shop\n",
        pipelines="DATASET=s3://tenant/datasets/shop\nKUBEREC_STORES=s3://tenant/stores\nKUBEREC_LOGS=s3://tenant/logs\n"
        f"KUBEREC_KFP_SECRET=tenant\n{KFP.format('kubeflow')}",
    ),
    "profile": Installation(
        namespace="team-a",
        components=(
            "redis",
            "redis-password",
            "pushgateway",
            "profile",
            "claim",
            "ca-bundle",
            "cloud-identity",
            "route",
            "site",
        ),
        serving="KUBEREC_STORE=s3://team/a/stores/shop\nKUBEREC_LOG=s3://team/a/logs/shop\n",
        pipelines="DATASET=/data/shop\nKUBEREC_STORES=s3://team/a/stores\nKUBEREC_LOGS=s3://team/a/logs\n"
        f"KUBEREC_KFP_SECRET=\n{KFP.format('kfp')}",
        site={
            "KUBEFLOW_NAMESPACE": "kfp",
            "STEPS_NAMESPACE": "team-a",
            "OBJECT_STORE_NAMESPACE": "minio",
            "OBJECT_STORE_PORT": "9444",
            "CLIENT_LABEL": "team-a",
            "MONITORING_NAMESPACE": "observability",
            "PROMETHEUS_ACCOUNT": "prometheus",
            "PROMETHEUS_RELEASE": "metrics",
            "GATEWAY": "public",
            "GATEWAY_NAMESPACE": "edge",
            "GATEWAY_HOST": "feeds.team-a.example.com",
        },
    ),
    "cloud": Installation(
        namespace="cloud",
        components=("redis-external", "redis-password", "cloud-identity", "ca-bundle", "site"),
        serving="KUBEREC_STORE=s3://cloud/stores/shop\nKUBEREC_LOG=s3://cloud/logs/shop\n"
        "KUBEREC_REDIS=rediss://cache.example.com:6380?ssl_ca_certs=/etc/kuberec/ca/ca.crt\n",
        pipelines="DATASET=s3://cloud/datasets/shop\nKUBEREC_STORES=s3://cloud/stores\nKUBEREC_LOGS=s3://cloud/logs\n"
        "KUBEREC_REDIS=rediss://cache.example.com:6380?ssl_ca_certs=/etc/kuberec/ca/ca.crt\n"
        "KUBEREC_PUSHGATEWAY=http://push.example.com:9091\n"
        f"KUBEREC_KFP_SECRET=\n{KFP.format('kubeflow')}",
        site={"BUCKET_PORT": "80", "REDIS_PORT": "6380"},
    ),
}
ALL = tuple(sorted((*SHIPPED, *ADDED)))


def write_overlays(folder: Path) -> Path:
    """A copy of the manifests with all installations as overlays.

    Args:
        folder: Gets the copy.

    Returns:
        The folder of the overlays.
    """
    shutil.copytree(ROOT / "manifests", folder / "manifests")
    overlays = folder / "manifests" / "overlays"
    for name, installation in ADDED.items():
        shutil.copytree(overlays / "cluster", overlays / name)
        kustomization = yaml.safe_load((overlays / "cluster" / "kustomization.yaml").read_text())
        kustomization["namespace"] = installation.namespace
        kustomization["components"] = [f"../../components/{one}" for one in installation.components]
        (overlays / name / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        site = yaml.safe_load((overlays / "cluster" / "site.yaml").read_text())
        assert site["data"].keys() >= installation.site.keys()
        site["data"].update(installation.site)
        (overlays / name / "site.yaml").write_text(yaml.safe_dump(site))
        (overlays / name / "serving.env").write_text(installation.serving)
        (overlays / name / "pipelines.env").write_text(installation.pipelines)
    return overlays
