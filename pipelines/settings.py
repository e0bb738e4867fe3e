"""Process settings of everything that runs pipelines."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from components.validation.environment import DEFAULT_PYTHON
from feature_repo.dataset.split import DAY
from feature_repo.errors import SettingsError
from feature_repo.settings import PREFIX, EnvironmentSettings
from feature_repo.storage.folder import local_path
from inference.bundles.store import BundleStore


def _http(url: str) -> str:
    if url and not url.startswith(("http://", "https://")):
        raise ValueError("write it as http://host:port or https://host")
    return url


HttpUrl = Annotated[str, AfterValidator(_http)]


class ClusterSettings(EnvironmentSettings):
    """The Kubeflow Pipelines that trainings are submitted to; every setting is the variable `KUBEREC_KFP_<NAME>`.

    Attributes:
        endpoint: Base URL of its API; "" where trainings run on this machine.
        namespace: Of a multi-user installation; "" for a single-user one.
        token_file: Holds the bearer token, read at each use; "" where the API asks for none.
        secret: Secret with the bucket's credentials, which steps get as variables; "" for none.
        volume: Volume claim with the datasets, and the folder where steps find it, as claim:/folder; "" for none.
    """

    prefix: ClassVar[str] = f"{PREFIX}KFP_"

    endpoint: HttpUrl = ""
    namespace: str = ""
    token_file: str = ""
    secret: str = ""
    volume: str = ""

    @field_validator("volume")
    @classmethod
    def _claim_and_folder(cls, volume: str) -> str:
        claim, _, folder = volume.partition(":")
        if volume and not (claim and folder.startswith("/")):
            raise ValueError("write it as claim:/folder")
        return volume

    @property
    def claim(self) -> str:
        """The volume claim, "" for none."""
        return self.volume.partition(":")[0]

    @property
    def claim_path(self) -> str:
        """The folder where steps find it."""
        return self.volume.partition(":")[2]


class MonitoringSettings(EnvironmentSettings):
    """How the drift job answers drift, and where it publishes figures.

    Attributes:
        cooldown_seconds: Least time between two retrainings of a dataset.
        lease_seconds: Time for which a retraining blocks the next one after its process is gone.
        textfile_dir: Folder of the node exporter's textfile collector, "" for none.
        pushgateway: Base URL of a Pushgateway, "" for none.
    """

    cooldown_seconds: float = Field(default=DAY, ge=0, allow_inf_nan=False)
    lease_seconds: float = Field(default=120.0, ge=1, allow_inf_nan=False)
    textfile_dir: str = Field(default="", exclude=True)
    pushgateway: HttpUrl = ""


class PipelineSettings(EnvironmentSettings):
    """Where runs keep their files and which interpreter computes the TFDV statistics.

    Attributes:
        build: Everything generated lives below.
        validation_python: Interpreter of the validation environment; `.venv-validation` beside the code by default.
        redis: Address of a Redis online store, "" for the embedded SQLite.
        stores: Where the datasets' stores are, a directory or s3://; `store` in `build` if "".
        logs: Where the servers' logs are, likewise; `log` in `build` if "".
        cluster: Where trainings run, if not here.
        monitoring: Of the drift job.
    """

    build: Path = Field(default=Path("build"), validate_default=True, exclude=True)
    validation_python: str = Field(default=str(DEFAULT_PYTHON), exclude=True)
    redis: str = ""
    stores: str = ""
    logs: str = ""
    cluster: ClusterSettings = ClusterSettings()
    monitoring: MonitoringSettings = MonitoringSettings()

    @field_validator("build")
    @classmethod
    def _absolute(cls, build: Path) -> Path:
        return build.resolve()

    @model_validator(mode="after")
    def _usable(self) -> Self:
        """What is needed together is there.

        Raises:
            SettingsError: The validation interpreter is absent and steps run here, or stores behind a URL are named
                without a Redis.
        """
        if not self.cluster.endpoint and not Path(self.validation_python).is_file():
            raise SettingsError(
                f"{self.validation_python}, the interpreter of the validation environment, is not there: run `make "
                "setup`, or name in KUBEREC_VALIDATION_PYTHON one that has tensorflow-data-validation."
            )
        if local_path(self.stores) is None and not self.redis:
            raise SettingsError(
                f"KUBEREC_STORES is {self.stores}, which cannot hold online features: name a Redis server for them in "
                "KUBEREC_REDIS (host:port)."
            )
        return self

    def store(self, dataset_name: str) -> str:
        """The serving store of one dataset: bundles, schemas, and online features where no Redis holds them."""
        return self._place(self.stores, "store", dataset_name)

    def log(self, dataset_name: str) -> str:
        """What the servers of one dataset log; need not exist."""
        return self._place(self.logs, "log", dataset_name)

    def serving(self, store: BundleStore) -> dict[str, str]:
        """Variables of servers on this machine; the clock of a log that ended over a day ago goes on from its end."""
        version = store.current()
        ended = store.manifest(version).facts.log_end if version else time.time()
        clock = "log" if ended < time.time() - DAY else "wall"
        return {"KUBEREC_CLOCK": clock, "KUBEREC_REDIS": self.redis, "KUBEREC_CACHE": str(self.build / "cache")}

    def _place(self, named: str, default: str, dataset_name: str) -> str:
        """A dataset's own place below a directory or URL that was named, else below the build folder."""
        if local_path(named) is None:
            return f"{named.rstrip('/')}/{dataset_name}"
        folder = Path(named).resolve() if named else self.build / default
        return str(folder / dataset_name)
