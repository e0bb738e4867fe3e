"""kfp.Client against a server that speaks its REST calls: one run a name, states and errors told as they are."""

import socket
import threading
import time
from pathlib import Path

import pytest
from kfp import dsl

from feature_repo.errors import ClusterError, SettingsError
from pipelines.cluster.client import Cluster
from pipelines.settings import ClusterSettings
from tests.kit.ports import free_port
from tests.pipelines.kfp_server import KfpServer


@dsl.component(base_image="pipeline", install_kfp_package=False)
def greet_op(name: str) -> None:
    """Greets."""
    print("hello", name)


@dsl.pipeline(name="greet")
def greet(name: str, times: int = 1) -> None:
    """One step."""
    greet_op(name=name)


def test_a_run_is_submitted_and_found_by_its_name(server: KfpServer) -> None:
    cluster = Cluster(ClusterSettings(endpoint=server.url))
    assert cluster.find("one") is None
    made = cluster.submit(greet, {"name": "world"}, name="one", experiment="shop")
    cluster.submit(greet, {"name": "moon"}, name="two", experiment="shop")
    assert [one["display_name"] for one in server.experiments] == ["shop"]
    first = server.runs[0]
    assert first["display_name"] == "one"
    assert first["runtime_config"]["parameters"] == {"name": "world"}
    assert first["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == "greet"
    assert cluster.find("one") == made
    assert made.state == "running"


def test_a_run_brings_along_what_its_pods_get(server: KfpServer) -> None:
    cluster = Cluster(ClusterSettings(endpoint=server.url, secret="bucket", volume="datasets:/data"))
    cluster.submit(greet, {"name": "world"}, name="one", experiment="shop")
    definition = server.runs[0]["pipeline_spec"]
    assert definition["pipeline_spec"]["pipelineInfo"]["name"] == "greet"
    executors = definition["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors["exec-greet-op"]["pvcMount"][0]["mountPath"] == "/data"


def test_a_run_is_found_behind_many_pages(server: KfpServer) -> None:
    server.page_size = 2
    cluster = Cluster(ClusterSettings(endpoint=server.url))
    made = [cluster.submit(greet, {"name": str(n)}, name="same", experiment="shop") for n in range(5)]
    found = cluster.find("same")
    assert found is not None
    assert found.run_id == made[-1].run_id  # the latest


def test_how_a_run_ended(server: KfpServer) -> None:
    cluster = Cluster(ClusterSettings(endpoint=server.url))
    ids = [cluster.submit(greet, {"name": "x"}, name=str(n), experiment="shop").run_id for n in range(3)]
    server.end(ids[0], "SUCCEEDED")
    server.end(ids[1], "FAILED", ("refuse-op",), "the step\nended with 4")
    server.end(ids[2], "CANCELED")
    ended = [cluster.look(run_id) for run_id in ids]
    assert [run.state for run in ended if run] == ["succeeded", "failed", "failed"]
    assert ended[1] is not None
    assert "refuse-op" in ended[1].failed_steps
    assert ended[1].error == "the step ended with 4"
    assert ended[1].finished_at == pytest.approx(time.time(), abs=60)
    assert cluster.look("another") is None


def test_a_namespace_and_a_token_are_sent(server: KfpServer, tmp_path: Path) -> None:
    server.token, server.multi_user = "secret", True
    token = tmp_path / "token"
    token.write_text("secret\n")
    cluster = Cluster(ClusterSettings(endpoint=server.url, namespace="team", token_file=str(token)))
    cluster.submit(greet, {"name": "x"}, name="one", experiment="shop")
    assert server.experiments[0]["namespace"] == "team"
    assert cluster.find("one") is not None
    with pytest.raises(ClusterError, match=r"answer is 400: a namespace is required in multi-user mode\): check KUB"):
        Cluster(ClusterSettings(endpoint=server.url, token_file=str(token))).find("one")


def test_what_cannot_be_used_is_a_sentence(server: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    away = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ClusterError, match=rf"at {away} cannot be used \(.*refused.*\): check KUBEREC_KFP_ENDPOINT"):
        Cluster(ClusterSettings(endpoint=away)).find("one")
    with pytest.raises(ClusterError, match=r"answer is 404 .*: check KUBEREC_KFP_NAMESPACE and the version"):
        Cluster(ClusterSettings(endpoint=f"{server.url}/elsewhere")).find("one")
    server.token = "secret"
    with pytest.raises(ClusterError, match=r"answer is 401 .*: check KUBEREC_KFP_TOKEN_FILE"):
        Cluster(ClusterSettings(endpoint=server.url)).find("one")
    with pytest.raises(SettingsError, match=r"KUBEREC_KFP_TOKEN_FILE is /nowhere/token"):
        Cluster(ClusterSettings(endpoint=server.url, token_file="/nowhere/token")).find("one")


def test_a_run_that_was_made_without_an_answer_is_found(server: KfpServer) -> None:
    cluster = Cluster(ClusterSettings(endpoint=server.url), answer_seconds=0.5)
    server.mood = "hangs"
    with pytest.raises(ClusterError, match="timed out"):
        cluster.submit(greet, {"name": "world"}, name="one", experiment="shop")
    (made,) = server.runs  # it was asked once
    found = cluster.find("one")
    assert found is not None
    assert found.run_id == made["run_id"]


def test_a_page_to_log_in_is_no_answer(server: KfpServer) -> None:
    words = r"such as a login page\): check KUBEREC_KFP_TOKEN_FILE"
    server.mood = "page"
    with pytest.raises(ClusterError, match=words):
        Cluster(ClusterSettings(endpoint=server.url)).find("one")
    server.mood = "well"
    cluster = Cluster(ClusterSettings(endpoint=server.url))
    made = cluster.submit(greet, {"name": "world"}, name="one", experiment="shop")
    server.mood = "page"  # the token has expired meanwhile
    with pytest.raises(ClusterError, match=words):
        cluster.look(made.run_id)
    with pytest.raises(ClusterError, match=words):
        cluster.submit(greet, {"name": "world"}, name="two", experiment="shop")


def test_what_speaks_no_http_is_a_sentence() -> None:
    with socket.socket() as grpc:
        grpc.bind(("127.0.0.1", 0))
        grpc.listen()

        def answer() -> None:
            with grpc.accept()[0] as connection:
                connection.recv(1024)
                connection.sendall(b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00")

        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises(ClusterError, match="check KUBEREC_KFP_ENDPOINT"):
            Cluster(ClusterSettings(endpoint=f"http://127.0.0.1:{grpc.getsockname()[1]}")).find("one")
        answering.join()
