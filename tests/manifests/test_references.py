"""Every selector meets something, every name that is referred to is there, every setting is one that the code reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pytest

from feature_repo.storage.redis_address import RedisAddress
from inference.settings import ServingSettings
from inference.transformer import API_PATH
from monitoring.rules import PREDICTOR, REDIS_JOB, TRANSFORMER
from pipelines.cluster.pods import CA_FOLDER
from pipelines.settings import ClusterSettings, ImageSettings, MonitoringSettings, PipelineSettings
from pipelines.submit import SUBMISSIONS
from tests.manifests.cluster import (
    Document,
    Pod,
    config,
    kserve_labels,
    matches,
    namespace_of,
    of_kind,
    pods,
    services,
    variables,
)

OWNERS_SECRETS, OWNERS_CLAIMS = {"bucket", "redis", "registry"}, {"datasets"}  # made by hand: README says how
PROFILES_ACCOUNT = "default-editor"
OWNERS_CONFIGS = {"ca-bundle"}
BY_OTHERS = {"AWS_CA_BUNDLE"}  # read by the client of the bucket


@pytest.fixture
def every_pod(documents: list[Document]) -> dict[str, Pod]:
    """Pods by what owns them."""
    return {pod.owner: pod for pod in pods(documents)}


def _jobs(documents: list[Document]) -> list[Pod]:
    return [pod for pod in pods(documents) if not pod.serves]


def _serving(documents: list[Document], part: str = "transformer") -> dict[str, str]:
    (found,) = [pod for pod in pods(documents) if pod.owner == f"InferenceService/recommender/{part}"]
    return variables(documents, found.containers[0])


def _pipelines(documents: list[Document]) -> dict[str, str]:
    """Environment of the submitting jobs, which is the same for all of them."""
    first, *others = (variables(documents, pod.containers[0]) for pod in _jobs(documents))
    assert all(one == first for one in others)
    return first


@pytest.fixture
def accepted(tmp_path: Path) -> Callable[[dict[str, str]], dict[str, str]]:
    """Variables as a process on this machine can read them: the mounted password is a file here."""
    (tmp_path / "password").write_text("p@ss")
    here = {"KUBEREC_REDIS_PASSWORD_FILE": str(tmp_path / "password")}
    return lambda given: {name: here.get(name, value) for name, value in given.items()}


def test_the_servers_accept_their_settings(
    documents: list[Document], accepted: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    given = _serving(documents)
    # As it is: the predictor mounts no password, and it would not start with the name of a file that is not there.
    predictor = _serving(documents, "predictor")
    ServingSettings.from_environment(predictor)
    assert predictor.items() <= given.items()
    assert given.keys() - predictor.keys() <= {"KUBEREC_SPOOL", "KUBEREC_REDIS_PASSWORD_FILE"}
    settings = ServingSettings.from_environment(accepted(given))
    assert given.keys() - BY_OTHERS <= {ServingSettings.variable(name) for name in ServingSettings.model_fields}
    assert settings.clock == "wall"
    assert settings.store.startswith("s3://")
    assert settings.log.startswith("s3://")


def test_pipelines_accept_their_settings(
    documents: list[Document], accepted: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    given = accepted(_pipelines(documents))
    settings = PipelineSettings.from_environment(given)
    sections = (PipelineSettings, ClusterSettings, ImageSettings, MonitoringSettings)
    read = {section.variable(name) for section in sections for name in section.model_fields}
    assert given.keys() - {"DATASET"} - BY_OTHERS <= read
    assert settings.cluster.images.image_pull_secret in OWNERS_SECRETS
    assert settings.cluster.claim in OWNERS_CLAIMS | {""}
    assert settings.monitoring.pushgateway
    host = (urlsplit(settings.cluster.endpoint).hostname or "").split(".")
    assert host == ["ml-pipeline", config(documents, "site")["KUBEFLOW_NAMESPACE"], "svc"]
    by_identity = any(one["metadata"]["name"] == "cloud-identity" for one in of_kind(documents, "NetworkPolicy"))
    assert bool(settings.cluster.secret) != by_identity


def test_servers_and_pipelines_mean_the_same_places(
    documents: list[Document], accepted: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    serving = ServingSettings.from_environment(accepted(_serving(documents)))
    pipelines = PipelineSettings.from_environment(accepted(_pipelines(documents)))
    name = serving.store.rsplit("/", 1)[1]
    assert pipelines.store(name) == serving.store
    assert pipelines.log(name) == serving.log
    address = RedisAddress.parse(serving.redis)
    inside = "." not in address.host  # then steps, which run in another namespace, need its full name
    full = f"{address.host}.{namespace_of(documents)}.svc:{address.port}"
    assert pipelines.redis == (full if inside else serving.redis)
    if not inside:
        assert config(documents, "site")["REDIS_PORT"] == str(address.port)


def test_writable_places_are_volumes(
    documents: list[Document], every_pod: dict[str, Pod], accepted: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    settings = ServingSettings.from_environment(accepted(_serving(documents)))
    transformer = every_pod["InferenceService/recommender/transformer"]
    mounted = {mount["mountPath"] for mount in transformer.containers[0]["volumeMounts"]}
    assert {"/tmp", str(settings.cache), str(settings.spool)} <= mounted
    assert settings.online_dir.is_relative_to(settings.cache)


def test_configuration_and_accounts_that_pods_name_are_there(documents: list[Document]) -> None:
    configs = {one["metadata"]["name"] for one in of_kind(documents, "ConfigMap")}
    accounts = {one["metadata"]["name"] for one in of_kind(documents, "ServiceAccount")}
    if of_kind(documents, "PodDefault"):
        accounts.add(PROFILES_ACCOUNT)
    read = set()
    for account in of_kind(documents, "ServiceAccount"):
        assert {one["name"] for one in account.get("imagePullSecrets", [])} <= OWNERS_SECRETS
    for pod in pods(documents):
        assert pod.spec["serviceAccountName"] in accounts
        for container in pod.containers:
            for source in container.get("envFrom", []):
                if "configMapRef" in source:
                    read.add(source["configMapRef"]["name"])
                else:
                    assert source["secretRef"]["name"] in OWNERS_SECRETS
            for entry in container.get("env", []):
                if "secretKeyRef" in entry.get("valueFrom", {}):
                    assert entry["valueFrom"]["secretKeyRef"]["name"] in OWNERS_SECRETS
        for volume in pod.spec.get("volumes", []):
            if "secret" in volume:
                assert volume["secret"]["secretName"] in OWNERS_SECRETS
            if "configMap" in volume:
                assert volume["configMap"]["name"] in OWNERS_CONFIGS
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in OWNERS_CLAIMS
    assert configs - read == {"dashboard", "site"}, "Grafana's, and the settings of the overlay"


def test_jobs_submit_pipelines_there_are_for_a_dataset_that_steps_see(
    documents: list[Document], accepted: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    given = accepted(_pipelines(documents))
    settings = PipelineSettings.from_environment(given)
    submitted = []
    for pod in _jobs(documents):
        (container,) = pod.containers
        pipeline, *options = container["args"]
        submitted.append(pipeline)
        assert options == ["--dataset", "$(DATASET)", "--key", "$(JOB)-$(JOB_UID)"]
        # The name is for people: a Job that is made again under it is another one.
        fields = {one["name"]: one["valueFrom"]["fieldRef"] for one in container["env"] if "value" not in one}
        assert {name: field["fieldPath"] for name, field in fields.items()} == {
            "NAMESPACE": "metadata.namespace",
            "JOB": "metadata.labels['batch.kubernetes.io/job-name']",
            "JOB_UID": "metadata.labels['batch.kubernetes.io/controller-uid']",
        }
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts.get("datasets", "") == settings.cluster.claim_path
    assert sorted(submitted) == sorted(SUBMISSIONS)
    dataset = PurePosixPath(given["DATASET"])
    assert given["DATASET"].startswith("s3://") != (str(dataset.parent) == settings.cluster.claim_path)
    assert settings.store(dataset.name) == _serving(documents)["KUBEREC_STORE"]


def test_a_variable_is_expanded_after_those_that_it_names(documents: list[Document]) -> None:
    for pod in _jobs(documents):
        names = [entry["name"] for entry in pod.containers[0]["env"]]
        assert names[0] == "NAMESPACE"
        assert len(set(names)) == len(names), "the last one would win"
        assert not set(names) & config(documents, "pipelines").keys(), "the setting of the overlay would have no effect"


def test_addresses_lead_to_ports_of_services(documents: list[Document], every_pod: dict[str, Pod]) -> None:
    offered = {one["metadata"]["name"]: {port["port"] for port in one["spec"]["ports"]} for one in services(documents)}
    serving, pipelines = _serving(documents), _pipelines(documents)
    addresses = [serving["KUBEREC_PREDICTOR"], serving["KUBEREC_REDIS"], pipelines["KUBEREC_REDIS"]]
    addresses.append(pipelines["KUBEREC_PUSHGATEWAY"].removeprefix("http://"))
    inside = [address for address in addresses if ".example.com" not in address]
    assert len(inside) == (4 if "redis" in offered else 1)
    for address in inside:
        name, port = _address(address, namespace_of(documents))
        assert port in offered[name], address
    predictor = every_pod["InferenceService/recommender/predictor"]
    assert predictor.ports[int(serving["KUBEREC_GRPC_PORT"])] == "grpc"
    for part in ("predictor", "transformer"):
        assert every_pod[f"InferenceService/recommender/{part}"].ports[int(serving["KUBEREC_HTTP_PORT"])] == "http"


def test_an_authority_is_read_where_it_is_mounted(documents: list[Document], every_pod: dict[str, Pod]) -> None:
    for name, pod in every_pod.items():
        given = variables(documents, pod.containers[0])
        mounted = [one["mountPath"] for one in pod.containers[0]["volumeMounts"] if one["name"] == "ca-bundle"]
        expected = [f"{folder}/ca.crt" for folder in mounted]
        assert expected == ([given["AWS_CA_BUNDLE"]] if "AWS_CA_BUNDLE" in given else []), name
        address = RedisAddress.parse(given["KUBEREC_REDIS"]) if "KUBEREC_REDIS" in given else None
        if address is not None and address.tls:  # steps mount it at the same place
            assert [address.options["ssl_ca_certs"]] == expected == [f"{CA_FOLDER}/ca.crt"], name


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
    own = {"redis": [REDIS_JOB], "pushgateway": []} if of_kind(documents, "StatefulSet") else {}
    assert jobs == {"recommender-transformer": [TRANSFORMER], "recommender-predictor": [PREDICTOR], **own}


def test_what_monitoring_selects_by_has_the_settings_of_the_overlay(documents: list[Document]) -> None:
    site = config(documents, "site")
    for one in (*of_kind(documents, "ServiceMonitor"), *of_kind(documents, "PrometheusRule")):
        assert one["metadata"]["labels"]["release"] == site["PROMETHEUS_RELEASE"]
    (role,) = of_kind(documents, "Role")
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    (binding,) = of_kind(documents, "RoleBinding")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": site["PROMETHEUS_ACCOUNT"], "namespace": site["MONITORING_NAMESPACE"]}
    ]


def test_outside_of_the_cluster_only_feeds_are_served(documents: list[Document]) -> None:
    (service,) = of_kind(documents, "InferenceService")
    assert service["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"
    offered = {one["metadata"]["name"]: {port["port"] for port in one["spec"]["ports"]} for one in services(documents)}
    site = config(documents, "site")
    for route in of_kind(documents, "HTTPRoute"):
        assert route["spec"]["parentRefs"] == [{"name": site["GATEWAY"], "namespace": site["GATEWAY_NAMESPACE"]}]
        assert route["spec"]["hostnames"] == [site["GATEWAY_HOST"]]
        (rule,) = route["spec"]["rules"]
        assert rule["matches"] == [{"method": "GET", "path": {"type": "Exact", "value": API_PATH}}]
        assert [one["port"] in offered[one["name"]] for one in rule["backendRefs"]] == [True]


def test_a_profile_shows_its_token_to_pipelines(documents: list[Document]) -> None:
    """Jobs mount the token, and the webhook gives it to steps at the same path."""
    source = {"path": "token", "audience": "pipelines.kubeflow.org", "expirationSeconds": 7200}
    for default in of_kind(documents, "PodDefault"):
        assert matches(default["spec"]["selector"], {"pipeline/runid": "7e1c"})
        given = _pipelines(documents)
        assert given["KUBEREC_KFP_NAMESPACE"] == namespace_of(documents)
        for volumes, mounts in [
            (default["spec"]["volumes"], default["spec"]["volumeMounts"]),
            *((pod.spec["volumes"], pod.containers[0]["volumeMounts"]) for pod in _jobs(documents)),
        ]:
            (volume,) = [one for one in volumes if one["name"] == "pipelines-token"]
            assert volume["projected"]["sources"] == [{"serviceAccountToken": source}]
            (mount,) = [one for one in mounts if one["name"] == "pipelines-token"]
            assert given["KUBEREC_KFP_TOKEN_FILE"] == f"{mount['mountPath']}/token"
        for pod in pods(documents):
            assert pod.labels["sidecar.istio.io/inject"] == "false", "a sidecar needs rights that `restricted` refuses"


def test_a_password_is_read_where_it_is_mounted(documents: list[Document], every_pod: dict[str, Pod]) -> None:
    asked = "KUBEREC_REDIS_PASSWORD_FILE" in _pipelines(documents)
    for name, pod in every_pod.items():
        mounted = [one["mountPath"] for one in pod.containers[0]["volumeMounts"] if one["name"] == "redis-password"]
        connects = name == "InferenceService/recommender/transformer" or not pod.serves
        given = variables(documents, pod.containers[0])
        if asked and connects:
            assert [f"{folder}/password" for folder in mounted] == [given["KUBEREC_REDIS_PASSWORD_FILE"]], name
        else:
            assert bool(mounted) == (asked and name == "StatefulSet/redis"), name
            assert "KUBEREC_REDIS_PASSWORD_FILE" not in given, name


def test_steps_get_the_password_of_their_installation(documents: list[Document]) -> None:
    """Steps of several installations share a namespace, so one name would mean one password."""
    given = _pipelines(documents)
    asked = "KUBEREC_REDIS_PASSWORD_FILE" in given
    assert given.get("KUBEREC_KFP_REDIS_SECRET") == (f"redis-{namespace_of(documents)}" if asked else None)


def test_redis_cli_in_the_pod_has_the_password(documents: list[Document], every_pod: dict[str, Pod]) -> None:
    """The probe and the runbooks call it."""
    if "StatefulSet/redis" in every_pod:
        server, exporter = every_pod["StatefulSet/redis"].containers
        asked = "KUBEREC_REDIS_PASSWORD_FILE" in _pipelines(documents)
        secret = {"secretKeyRef": {"name": "redis", "key": "password"}}
        given = [{one["name"]: one.get("valueFrom") for one in pod.get("env", [])} for pod in (server, exporter)]
        assert [given[0].get("REDISCLI_AUTH"), given[1].get("REDIS_PASSWORD")] == [secret if asked else None] * 2


def test_disruption_budgets_and_spreading_meet_one_kind_of_pod(documents: list[Document]) -> None:
    budgets = of_kind(documents, "PodDisruptionBudget")
    assert all(budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow" for budget in budgets)
    assert {one["metadata"]["name"] for one in budgets} == {"transformer", "predictor"}
    for budget in budgets:
        assert budget["spec"]["maxUnavailable"] == 1, "a budget that lets nothing go blocks the drain of a node"
        met = [pod.owner for pod in pods(documents) if matches(budget["spec"]["selector"], pod.labels)]
        assert met == [f"InferenceService/recommender/{budget['metadata']['name']}"]
    for pod in pods(documents):
        assert bool(pod.spec.get("topologySpreadConstraints")) == pod.owner.startswith("InferenceService/"), pod.owner
        for spread in pod.spec.get("topologySpreadConstraints", []):
            assert matches(spread["labelSelector"], pod.labels)


def test_policies_select_pods_that_exist(documents: list[Document]) -> None:
    for policy in of_kind(documents, "NetworkPolicy"):
        assert any(matches(policy["spec"]["podSelector"], pod.labels) for pod in pods(documents)), policy["metadata"]


def test_kserve_gives_the_labels_that_policies_ask_for(documents: list[Document]) -> None:
    (service,) = of_kind(documents, "InferenceService")
    assert kserve_labels(service, "predictor") == {
        "app": "isvc.recommender-predictor",
        "app.kubernetes.io/part-of": "kuberec",
        "component": "predictor",
        "networking.kserve.io/visibility": "cluster-local",
        **service["spec"]["predictor"].get("labels", {}),
        "serving.kserve.io/inferenceservice": "recommender",
    }


def _address(text: str, namespace: str) -> tuple[str, int]:
    """Service and port of `service[.namespace.svc]:port`."""
    host, _, port = text.partition(":")
    name, _, rest = host.partition(".")
    assert rest in ("", f"{namespace}.svc")
    return name, int(port)
