"""Settings of the processes that run or submit pipelines."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from components.validation.environment import DEFAULT_PYTHON
from feature_repo.dataset.split import DAY
from feature_repo.errors import SettingsError
from feature_repo.redis_settings import RedisSettings
from feature_repo.setting_types import Directory, HttpUrl, KubernetesName, OptionalDirectory, Place, is_kubernetes_name
from feature_repo.settings import PREFIX, EnvironmentSettings
from feature_repo.storage.folder import local_path
from feature_repo.storage.quoting import unusable_character
from feature_repo.storage.redis_address import RedisAddress
from inference.bundles.store import BundleStore
from pipelines.cluster.placement import node_labels, tolerations


def _labels(text: str) -> str:
    node_labels(text)
    return text


def _taints(text: str) -> str:
    tolerations(text)
    return text


# A reference with the placeholder of the name, and a tag: without a tag the newest image would run. The first part of
# the path is a registry if it has a dot or a port, as in Docker's grammar.
_IMAGES = re.compile(
    r"((localhost|[a-z0-9-]+(\.[a-z0-9-]+)+|[a-z0-9-]+(?=:[0-9]))(:[0-9]{1,5})?/|)"
    r"([a-z0-9]+([._-]+[a-z0-9]+)*/)*[a-z0-9._-]*\{name\}[a-z0-9._-]*:(\{tag\}|[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})"
)


_KEY_OF_MAP = re.compile(r"[A-Za-z0-9._-]{1,253}")  # of a ConfigMap


class ImageSettings(EnvironmentSettings):
    """Where the images of servers, jobs and steps are.

    Attributes:
        images: Reference of an image: {name} stands for serving, predictor, pipeline or validation, and {tag} for the
            version of the code (`pipelines/cluster/images.py`).
        image_pull_secret: Secret with the credentials of the registry, in the namespace of the steps; "" for none.
    """

    images: str = "kuberec/{name}:{tag}"
    image_pull_secret: KubernetesName = ""

    @field_validator("images")
    @classmethod
    def _reference(cls, images: str) -> str:
        if not _IMAGES.fullmatch(images):
            raise ValueError("write it as registry/folder/{name}:{tag}, or with a tag that does not change")
        return images


class ClusterSettings(EnvironmentSettings):
    """The Kubeflow Pipelines installation that runs trainings; every setting is the variable `KUBEREC_KFP_<NAME>`.

    Attributes:
        endpoint: Base URL of the API; "" if trainings run on this machine.
        namespace: Namespace in a multi-user installation; "" for a single-user installation.
        token_file: File with the bearer token, read at each use; "" if the API needs no token.
        secret: Secret with the bucket's credentials, which steps receive as variables; "" for none.
        redis_secret: Secret with the password of Redis in its key `password`; "" for none.
        volume: Volume claim with the datasets, and the folder where steps find it, as claim:/folder; "" for none.
        ca_bundle: ConfigMap with the authorities that sign for the bucket, and its key, as name:key; "" for none.
        run_as: User and group id of steps; 0 if the cluster chooses one, as OpenShift does.
        memory_factor: Multiplies the memory of every step.
        timeout_seconds: Longest time of one attempt of a step.
        node_selector: Labels of the nodes for steps, as label=value,label=value; "" for any node.
        tolerations: Taints that steps tolerate, as key=value:effect,key:effect; "" for none.
        checkpoints: Folder in `volume`, or s3:// URL, for checkpoints of the towers' fits, from which the next attempt
            of a step continues; "" for none.
        gpus: GPUs of the steps that fit towers.
        gpu_node_selector, gpu_tolerations: The same for these steps, in addition, if `gpus` is not 0.
        images: Where the images are.
    """

    prefix: ClassVar[str] = f"{PREFIX}KFP_"

    endpoint: HttpUrl = ""
    namespace: KubernetesName = ""
    token_file: str = ""
    secret: KubernetesName = ""
    redis_secret: KubernetesName = ""
    volume: str = ""
    ca_bundle: str = ""
    run_as: int = Field(default=10001, ge=0, lt=2**31)
    memory_factor: float = Field(default=1.0, ge=0.1, le=1000)
    timeout_seconds: int = Field(default=21_600, ge=60, lt=2**31)
    node_selector: Annotated[str, AfterValidator(_labels)] = ""
    tolerations: Annotated[str, AfterValidator(_taints)] = ""
    checkpoints: Place = ""
    gpus: int = Field(default=0, ge=0, le=1024)
    gpu_node_selector: Annotated[str, AfterValidator(_labels)] = ""
    gpu_tolerations: Annotated[str, AfterValidator(_taints)] = "nvidia.com/gpu:NoSchedule"
    images: ImageSettings = ImageSettings()

    @field_validator("volume")
    @classmethod
    def _claim_and_folder(cls, volume: str) -> str:
        claim, _, folder = volume.partition(":")
        if volume and not (is_kubernetes_name(claim) and folder.startswith("/") and not unusable_character(folder)):
            raise ValueError("write it as claim:/folder")
        return volume

    @field_validator("ca_bundle")
    @classmethod
    def _name_and_key(cls, bundle: str) -> str:
        name, _, key = bundle.partition(":")
        if bundle and not (is_kubernetes_name(name) and _KEY_OF_MAP.fullmatch(key)):
            raise ValueError("write it as name:key")
        return bundle

    @property
    def ca_config_map(self) -> str:
        """The ConfigMap with certificate authorities, "" for none."""
        return self.ca_bundle.partition(":")[0]

    @property
    def ca_file(self) -> str:
        """The key of the ConfigMap, which is the name of the mounted file."""
        return self.ca_bundle.partition(":")[2]

    @property
    def claim(self) -> str:
        """The volume claim, "" for none."""
        return self.volume.partition(":")[0]

    @property
    def claim_path(self) -> str:
        """The folder where the claim is mounted in steps."""
        return self.volume.partition(":")[2]


class MonitoringSettings(EnvironmentSettings):
    """How the drift job reacts to drift, and where it publishes metrics.

    Attributes:
        cooldown_seconds: Least time between the starts of two retrainings of a dataset.
        lease_seconds: Time until the lease of a retraining expires after its process exited without releasing it.
        textfile_dir: Folder of the node exporter's textfile collector, "" for none.
        pushgateway: Base URL of a Pushgateway, "" for none.
    """

    cooldown_seconds: float = Field(default=DAY, ge=0)
    lease_seconds: float = Field(default=120.0, ge=1, le=DAY)
    textfile_dir: OptionalDirectory = Field(default="", exclude=True)
    pushgateway: HttpUrl = ""


class PipelineSettings(RedisSettings):
    """Where runs keep their files and which interpreter computes the TFDV statistics.

    Attributes:
        build: Folder of all generated files.
        validation_python: Interpreter of the validation environment; by default that of `.venv-validation` in the
            repository.
        stores: Directory or s3:// URL of the stores of all datasets; "" for `store` in `build`.
        logs: Directory or s3:// URL of the servers' logs of all datasets; "" for `log` in `build`.
        checkpoints: Directory or s3:// URL of the checkpoints of runs on this machine; "" for `pipeline` in `build`.
        cluster: The cluster that runs trainings, if it is configured.
        monitoring: Settings of the drift job.
    """

    build: Directory = Field(default=Path("build"), validate_default=True, exclude=True)
    validation_python: str = Field(default=str(DEFAULT_PYTHON), exclude=True)
    stores: Place = ""
    logs: Place = ""
    checkpoints: Place = Field(default="", exclude=True)
    cluster: ClusterSettings = ClusterSettings()
    monitoring: MonitoringSettings = MonitoringSettings()

    @field_validator("build")
    @classmethod
    def _absolute(cls, build: Path) -> Path:
        return build.resolve()

    @model_validator(mode="after")
    def _usable(self) -> Self:
        """Checks settings that depend on each other.

        Raises:
            SettingsError: Steps run here and the validation interpreter is missing, stores are behind a URL and no
                Redis is configured, or a cluster would show the password of the Redis.
        """
        python = self.validation_python
        if not self.cluster.endpoint and not (os.path.isfile(python) and os.access(python, os.X_OK)):
            raise SettingsError(
                f"The interpreter of the validation environment, {python!r}, is not an executable file: run `make "
                "setup`, or set KUBEREC_VALIDATION_PYTHON to an interpreter with tensorflow-data-validation."
            )
        if self.cluster.endpoint and self.redis and RedisAddress.parse(self.redis).password:
            raise SettingsError(
                "KUBEREC_REDIS has a password, which Kubeflow Pipelines would show as a parameter: write it to a file "
                "and name the file in KUBEREC_REDIS_PASSWORD_FILE."
            )
        if local_path(self.stores) is None and not self.redis:
            raise SettingsError(
                f"KUBEREC_STORES is {self.stores}, which cannot hold online features: name a Redis server for them in "
                "KUBEREC_REDIS (host:port)."
            )
        return self

    def store(self, dataset_name: str) -> str:
        """The serving store of one dataset: bundles, schemas, and online features if no Redis holds them."""
        return self._place(self.stores, "store", dataset_name)

    def log(self, dataset_name: str) -> str:
        """Directory or URL of the servers' log of one dataset; it may not exist yet."""
        return self._place(self.logs, "log", dataset_name)

    def serving(self, store: BundleStore) -> dict[str, str]:
        """Environment variables of servers on this machine; a log that ended over a day ago gets the clock `log`."""
        version = store.current()
        ended = store.manifest(version).facts.log_end if version else time.time()
        clock = "log" if ended < time.time() - DAY else "wall"
        return {"KUBEREC_CLOCK": clock, "KUBEREC_REDIS": self.redis, "KUBEREC_CACHE": str(self.build / "cache")}

    def _place(self, named: str, default: str, dataset_name: str) -> str:
        """The place of a dataset below the named directory or URL, or below the build folder if none is named."""
        if local_path(named) is None:
            return f"{named.rstrip('/')}/{dataset_name}"
        folder = Path(named).resolve() if named else self.build / default
        return str(folder / dataset_name)
