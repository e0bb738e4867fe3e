"""What a person uploads: images, resources, credentials and security of every step, as Kubeflow Pipelines reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import compiler, components
from kfp.client.client import _extract_pipeline_yaml
from kfp.dsl.graph_component import GraphComponent
from kfp.kubernetes import kubernetes_executor_config_pb2 as config_pb2

from feature_repo.errors import SettingsError
from pipelines.cluster.pods import CREDENTIALS, compile_pipeline
from pipelines.definitions.refresh import refresh
from pipelines.definitions.training import training
from pipelines.retraining.launcher import GATES
from pipelines.settings import ClusterSettings

Pods = Mapping[str, Any]


def compiled(path: Path, pipeline: GraphComponent = refresh, **variables: str) -> tuple[dict[str, Any], Pods]:
    """Containers of the steps, and kfp's message for the pod of each."""
    settings = ClusterSettings.from_environment({f"KUBEREC_{name}": value for name, value in variables.items()})
    compile_pipeline(pipeline, path, settings)
    definition, addition = yaml.safe_load_all(path.read_text())
    containers = {name: one["container"] for name, one in definition["deploymentSpec"]["executors"].items()}
    pods = addition["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert pods.keys() == containers.keys()
    # ParseDict refuses fields that the message does not have.
    return containers, {
        name: json_format.ParseDict(one, config_pb2.KubernetesExecutorConfig()) for name, one in pods.items()
    }


def test_the_definition_is_what_runs_locally_but_for_containers_and_attempts(tmp_path: Path) -> None:
    compiler.Compiler().compile(refresh, str(tmp_path / "plain.yaml"))
    plain = yaml.safe_load((tmp_path / "plain.yaml").read_text())
    compiled(tmp_path / "training.yaml")
    definition, _ = yaml.safe_load_all((tmp_path / "training.yaml").read_text())
    assert not [path for path in ("root", "components") if "retryPolicy" in str(plain[path])]
    for dag in (part["dag"] for part in (definition["root"], *definition["components"].values()) if "dag" in part):
        for task in dag["tasks"].values():
            task.pop("retryPolicy", None)
    for name in ("root", "components"):
        assert definition[name] == plain[name]
    for name, executor in definition["deploymentSpec"]["executors"].items():
        assert executor["container"]["command"] == plain["deploymentSpec"]["executors"][name]["container"]["command"]


def test_a_person_can_upload_the_file(tmp_path: Path) -> None:
    compiled(tmp_path / "training.yaml", KFP_SECRET="bucket")
    read = _extract_pipeline_yaml(str(tmp_path / "training.yaml")).to_dict()  # what the client submits
    given = read["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-ingest-dataset"]
    assert given["secretAsEnv"][0]["secretName"] == "bucket"
    assert components.load_component_from_file(str(tmp_path / "training.yaml")).name == "kuberec-refresh"


def test_images_have_one_name_and_the_version_of_the_code(tmp_path: Path) -> None:
    containers, _ = compiled(
        tmp_path / "a.yaml", training, IMAGES="registry.example.com:5000/shop/kuberec-{name}:{tag}"
    )
    names = {name: container["image"].rpartition(":") for name, container in containers.items()}
    assert {one[0] for name, one in names.items() if name != "exec-statistics-op"} == {
        "registry.example.com:5000/shop/kuberec-pipeline"
    }
    assert names["exec-statistics-op"][0] == "registry.example.com:5000/shop/kuberec-validation"
    assert len({one[2] for one in names.values()}) == 1
    containers, _ = compiled(tmp_path / "b.yaml", IMAGES="{name}:7")
    assert {one["image"] for one in containers.values()} == {"pipeline:7"}


@pytest.mark.parametrize("images", ["{name}:7", "localhost/kuberec/{name}:a", "registry:5000/a_b/c/d-{name}:{tag}"])
def test_a_name_with_its_parts_is_accepted(images: str) -> None:
    assert ClusterSettings.from_environment({"KUBEREC_IMAGES": images}).images.images == images


@pytest.mark.parametrize(
    "images",
    [
        "kuberec/pipeline:1",
        "kuberec/{name}",
        "kuberec/{name}:",
        "Kube rec/{name}:1",
        "Kuberec/{name}:1",
        "https://registry.example.com/{name}:1",
        "registry.example.com/a//{name}:1",
    ],
)
def test_a_name_without_its_parts_is_refused(images: str) -> None:
    with pytest.raises(SettingsError, match=r"KUBEREC_IMAGES is .* write it as registry/folder/\{name\}:\{tag\}"):
        ClusterSettings.from_environment({"KUBEREC_IMAGES": images})


def test_a_namespace_with_the_restricted_standard_a_quota_and_limits_admits_every_step(tmp_path: Path) -> None:
    containers, pods = compiled(tmp_path / "training.yaml")
    for name, pod in pods.items():
        user = pod.security_context
        # Kubeflow Pipelines 2.17 adds capabilities, privilege escalation and seccomp to all of its pods.
        assert (user.run_as_non_root, user.run_as_user, user.run_as_group) == (True, 10001, 10001), name
        assert [one.mount_path for one in pod.empty_dir_mounts] == ["/tmp"]
        assert pod.active_deadline_seconds == 21_600
        resources = containers[name]["resources"]
        for kind in ("Cpu", "Memory"):
            assert resources[f"resource{kind}Request"], name
            assert resources[f"resource{kind}Limit"], name
        assert "OMP_NUM_THREADS" in {one["name"] for one in containers[name]["env"]}, name


def test_work_is_tried_again_and_a_refusal_is_final(tmp_path: Path) -> None:
    compiled(tmp_path / "training.yaml", training)
    definition, _ = yaml.safe_load_all((tmp_path / "training.yaml").read_text())
    dags = [definition["root"]["dag"], *(one["dag"] for one in definition["components"].values() if "dag" in one)]
    tasks = {name: task for dag in dags for name, task in dag["tasks"].items() if not name.startswith("condition-")}
    tried = {name for name, task in tasks.items() if task.get("retryPolicy", {}).get("maxRetryCount") == 2}
    assert tasks.keys() - tried == {*GATES, "publish-report-op"}
    assert tasks["release-op"]["retryPolicy"]["backoffDuration"] == "60s"


def test_every_step_gets_credentials_datasets_authorities_and_the_password_of_redis(tmp_path: Path) -> None:
    containers, pods = compiled(
        tmp_path / "training.yaml",
        KFP_SECRET="bucket",
        KFP_VOLUME="datasets:/data",
        KFP_CA_BUNDLE="corporate:ca.crt",
        KFP_REDIS_SECRET="redis",
        IMAGE_PULL_SECRET="registry",
    )
    for name, pod in pods.items():
        (mount,) = pod.pvc_mount
        assert (mount.mount_path, _name(mount.pvc_name_parameter)) == ("/data", "datasets")
        (secret,) = pod.secret_as_env
        assert (_name(secret.secret_name_parameter), secret.optional) == ("bucket", True)
        assert {one.env_var: one.secret_key for one in secret.key_to_env} == {key: key for key in CREDENTIALS}
        assert [_name(one.secret_name_parameter) for one in pod.image_pull_secret] == ["registry"]
        (password,), (authorities,) = pod.secret_as_volume, pod.config_map_as_volume
        assert _name(password.secret_name_parameter) == "redis"
        assert _name(authorities.config_map_name_parameter) == "corporate"
        variables = {one["name"]: one["value"] for one in containers[name]["env"]}
        assert variables["AWS_CA_BUNDLE"] == f"{authorities.mount_path}/ca.crt"
        # A Redis without TLS refuses this setting; the address of one with TLS names its authority (`ca-bundle`).
        assert "KUBEREC_REDIS_CA_FILE" not in variables
        assert variables["KUBEREC_REDIS_PASSWORD_FILE"] == f"{password.mount_path}/password"


def test_nodes_memory_and_gpus_are_settings(tmp_path: Path) -> None:
    containers, pods = compiled(
        tmp_path / "training.yaml",
        training,
        KFP_NODE_SELECTOR="pool=batch,disk=ssd",
        KFP_TOLERATIONS="batch=yes:NoSchedule",
        KFP_GPUS="1",
        KFP_GPU_NODE_SELECTOR="pool=gpu",
        KFP_MEMORY_FACTOR="2.5",
        KFP_RUN_AS="0",
        KFP_CHECKPOINTS="s3://bucket/checkpoints",
    )
    variables = {one["name"]: one["value"] for one in containers["exec-fit-towers-op"]["env"]}
    assert variables["KUBEREC_CHECKPOINTS"] == "s3://bucket/checkpoints"
    with_gpu = {name for name, one in containers.items() if "accelerator" in one["resources"]}
    assert with_gpu == {"exec-fit-towers-op", "exec-fit-towers-op-2", "exec-fit-towers-op-3"}
    assert containers["exec-fit-towers-op"]["resources"]["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert containers["exec-ingest-dataset"]["resources"]["resourceMemoryRequest"] == "5000M"
    assert containers["exec-ingest-dataset"]["resources"]["resourceMemoryLimit"] == "10000M"
    assert dict(pods["exec-ingest-dataset"].node_selector.labels) == {"pool": "batch", "disk": "ssd"}
    assert dict(pods["exec-fit-towers-op"].node_selector.labels) == {"pool": "gpu", "disk": "ssd"}
    tolerated = [(one.key, one.operator, one.value, one.effect) for one in pods["exec-fit-towers-op"].tolerations]
    assert tolerated == [("batch", "Equal", "yes", "NoSchedule"), ("nvidia.com/gpu", "Exists", "", "NoSchedule")]
    assert not pods["exec-ingest-dataset"].security_context.HasField("run_as_user")  # OpenShift chooses one


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NODE_SELECTOR", "gpu"),
        ("TOLERATIONS", "gpu:Never"),
        ("GPU_TOLERATIONS", "=x:NoSchedule"),
        ("CA_BUNDLE", "corporate"),
        ("MEMORY_FACTOR", "0"),
        ("TIMEOUT_SECONDS", "5"),
        ("RUN_AS", "-1"),
    ],
)
def test_a_setting_in_another_form_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"^KUBEREC_KFP_{name} is .*\.$"):
        ClusterSettings.from_environment({f"KUBEREC_KFP_{name}": value})


def _name(parameter: Any) -> str:
    return str(parameter.runtime_value.constant.string_value)
