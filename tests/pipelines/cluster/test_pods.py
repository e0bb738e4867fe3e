"""What steps get from the cluster: an addition that Kubeflow Pipelines understands, and none unless asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp import compiler
from kfp.kubernetes import kubernetes_executor_config_pb2 as config_pb2

from pipelines.cluster.pods import furnish
from pipelines.definitions.training import training
from pipelines.settings import ClusterSettings


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    """The training pipeline as kfp compiles it."""
    path = tmp_path / "training.yaml"
    compiler.Compiler().compile(training, str(path))
    return path


def test_every_step_gets_the_credentials_and_the_datasets(compiled: Path) -> None:
    before = yaml.safe_load(compiled.read_text())
    furnish(compiled, ClusterSettings(endpoint="http://kfp:8888", secret="bucket", volume="datasets:/data"))
    definition, addition = yaml.safe_load_all(compiled.read_text())
    assert definition == before
    executors = addition["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors.keys() == before["deploymentSpec"]["executors"].keys()
    for given in executors.values():
        read = json_format.ParseDict(given, config_pb2.KubernetesExecutorConfig())  # refuses fields it does not know
        assert [
            (one.mount_path, one.pvc_name_parameter.runtime_value.constant.string_value) for one in read.pvc_mount
        ] == [("/data", "datasets")]
        names = {variable.env_var: one.optional for one in read.secret_as_env for variable in one.key_to_env}
        assert names == {"AWS_ACCESS_KEY_ID": False, "AWS_SECRET_ACCESS_KEY": False, "AWS_ENDPOINT_URL": True}
        assert {one.secret_name_parameter.runtime_value.constant.string_value for one in read.secret_as_env} == {
            "bucket"
        }


def test_a_definition_stays_as_it_is_where_nothing_is_configured(compiled: Path) -> None:
    before = compiled.read_bytes()
    furnish(compiled, ClusterSettings(endpoint="http://kfp:8888"))
    assert compiled.read_bytes() == before
