"""Process settings of everything that runs pipelines, read from the environment once, in the entry point."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.validation.environment import DEFAULT_PYTHON
from feature_repo.dataset.split import DAY
from feature_repo.errors import SettingsError
from feature_repo.storage.folder import local_path
from inference.bundles.store import BundleStore


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """The Kubeflow Pipelines that trainings are submitted to.

    Attributes:
        endpoint: Base URL of its API (`KUBEREC_KFP_ENDPOINT`); "" where trainings run on this machine.
        namespace: Of a multi-user installation (`KUBEREC_KFP_NAMESPACE`); "" for a single-user one.
        token_file: Holds the bearer token, read at each use (`KUBEREC_KFP_TOKEN_FILE`); "" where none is asked for.
        secret: Secret with the bucket's credentials, which steps get as variables (`KUBEREC_KFP_SECRET`); "" for none.
        claim: Volume claim with the datasets, which steps get (`KUBEREC_KFP_VOLUME`, claim:/folder); "" for none.
        claim_path: Where they find it.
    """

    endpoint: str = ""
    namespace: str = ""
    token_file: str = ""
    secret: str = ""
    claim: str = ""
    claim_path: str = ""

    @classmethod
    def read(cls, env: Mapping[str, str]) -> ClusterSettings:
        """Read the settings.

        Raises:
            SettingsError: The endpoint is no URL, or the volume is not of its form.
        """
        endpoint = env.get("KUBEREC_KFP_ENDPOINT", "")
        if endpoint and not endpoint.startswith(("http://", "https://")):
            raise SettingsError(f"KUBEREC_KFP_ENDPOINT is {endpoint!r}: write it as http://host:port or https://host")
        volume = env.get("KUBEREC_KFP_VOLUME", "")
        claim, _, folder = volume.partition(":")
        if volume and not (claim and folder.startswith("/")):
            raise SettingsError(f"KUBEREC_KFP_VOLUME is {volume!r}: write it as claim:/folder")
        return cls(
            endpoint=endpoint,
            namespace=env.get("KUBEREC_KFP_NAMESPACE", ""),
            token_file=env.get("KUBEREC_KFP_TOKEN_FILE", ""),
            secret=env.get("KUBEREC_KFP_SECRET", ""),
            claim=claim,
            claim_path=folder,
        )


@dataclass(frozen=True, slots=True)
class MonitoringSettings:
    """How the drift job answers what it finds, and where it tells.

    Attributes:
        cooldown_seconds: Least time between two retrainings of a dataset (`KUBEREC_COOLDOWN_SECONDS`).
        lease_seconds: A retraining whose process is gone blocks the next one for so long (`KUBEREC_LEASE_SECONDS`).
        textfile_dir: Folder of the node exporter's textfile collector (`KUBEREC_TEXTFILE_DIR`), "" for none.
        pushgateway: Base URL of a Pushgateway (`KUBEREC_PUSHGATEWAY`), "" for none.
    """

    cooldown_seconds: float = DAY
    lease_seconds: float = 120.0
    textfile_dir: str = ""
    pushgateway: str = ""

    @classmethod
    def read(cls, env: Mapping[str, str]) -> MonitoringSettings:
        """Read the settings.

        Raises:
            SettingsError: A number is none, or the Pushgateway is no URL.
        """
        pushgateway = env.get("KUBEREC_PUSHGATEWAY", "")
        if pushgateway and not pushgateway.startswith(("http://", "https://")):
            raise SettingsError(f"KUBEREC_PUSHGATEWAY is {pushgateway!r}: write it as http://host:port")
        return cls(
            cooldown_seconds=_seconds(env, "KUBEREC_COOLDOWN_SECONDS", DAY, least=0.0),
            lease_seconds=_seconds(env, "KUBEREC_LEASE_SECONDS", 120.0, least=1.0),
            textfile_dir=env.get("KUBEREC_TEXTFILE_DIR", ""),
            pushgateway=pushgateway,
        )


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Where runs keep their files and which interpreter computes the TFDV statistics.

    Attributes:
        build_dir: Everything generated lives below (`KUBEREC_BUILD`).
        validation_python: Interpreter of the validation environment (`KUBEREC_VALIDATION_PYTHON`); `.venv-validation`
            beside the code by default.
        redis: Address of a Redis online store, "" for the embedded SQLite (`KUBEREC_REDIS`).
        stores: Where the datasets' stores are, a directory or s3:// (`KUBEREC_STORES`); `store` in `build_dir` if "".
        logs: Where the servers' logs are, likewise (`KUBEREC_LOGS`); `log` in `build_dir` if "".
        cluster: Where trainings run, if not here.
        monitoring: Of the drift job.
    """

    build_dir: Path
    validation_python: str
    redis: str
    stores: str = ""
    logs: str = ""
    cluster: ClusterSettings = ClusterSettings()
    monitoring: MonitoringSettings = MonitoringSettings()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> PipelineSettings:
        """Read the settings.

        Args:
            environment: Variables to read; the process's own if None.

        Raises:
            SettingsError: The validation interpreter is absent and steps run here, stores behind a URL are named
                without a Redis, or a setting is not of its form.
        """
        env = os.environ if environment is None else environment
        python = env.get("KUBEREC_VALIDATION_PYTHON") or str(DEFAULT_PYTHON)
        cluster = ClusterSettings.read(env)
        if not cluster.endpoint and not Path(python).is_file():
            raise SettingsError(
                f"{python}, the interpreter of the validation environment, is not there: run `make setup`, or name in "
                "KUBEREC_VALIDATION_PYTHON one that has tensorflow-data-validation"
            )
        stores, redis = env.get("KUBEREC_STORES", ""), env.get("KUBEREC_REDIS", "")
        if local_path(stores) is None and not redis:
            raise SettingsError(
                f"KUBEREC_STORES is {stores}, which cannot hold online features: name a Redis server for them in "
                "KUBEREC_REDIS (host:port)"
            )
        return cls(
            build_dir=Path(env.get("KUBEREC_BUILD", "build")).resolve(),
            validation_python=python,
            redis=redis,
            stores=stores,
            logs=env.get("KUBEREC_LOGS", ""),
            cluster=cluster,
            monitoring=MonitoringSettings.read(env),
        )

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
        return {"KUBEREC_CLOCK": clock, "KUBEREC_REDIS": self.redis, "KUBEREC_CACHE": str(self.build_dir / "cache")}

    def variables(self) -> dict[str, str]:
        """The variables that make these settings, for steps that run elsewhere; none of files on this machine."""
        named = {
            "KUBEREC_STORES": self.stores,
            "KUBEREC_LOGS": self.logs,
            "KUBEREC_REDIS": self.redis,
            "KUBEREC_KFP_ENDPOINT": self.cluster.endpoint,
            "KUBEREC_KFP_NAMESPACE": self.cluster.namespace,
            "KUBEREC_KFP_TOKEN_FILE": self.cluster.token_file,
            "KUBEREC_KFP_SECRET": self.cluster.secret,
            "KUBEREC_KFP_VOLUME": f"{self.cluster.claim}:{self.cluster.claim_path}" if self.cluster.claim else "",
            "KUBEREC_COOLDOWN_SECONDS": f"{self.monitoring.cooldown_seconds:g}",
            "KUBEREC_LEASE_SECONDS": f"{self.monitoring.lease_seconds:g}",
            "KUBEREC_PUSHGATEWAY": self.monitoring.pushgateway,
        }
        return {name: value for name, value in named.items() if value}

    def _place(self, named: str, default: str, dataset_name: str) -> str:
        """A dataset's own place below a directory or URL that was named, else below the build folder."""
        if local_path(named) is None:
            return f"{named.rstrip('/')}/{dataset_name}"
        folder = Path(named).resolve() if named else self.build_dir / default
        return str(folder / dataset_name)


def _seconds(env: Mapping[str, str], name: str, default: float, *, least: float) -> float:
    """A setting in seconds."""
    text = env.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value >= least and math.isfinite(value)):
        raise SettingsError(f"{name} is {text!r}: give a number of seconds, {least:g} or more")
    return value
