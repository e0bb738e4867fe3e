"""Process settings of everything that runs pipelines, read from the environment once, in the entry point."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.validation.environment import DEFAULT_PYTHON
from feature_repo.errors import SettingsError
from inference.store import BundleStore

DAY = 86_400.0


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
    """

    build_dir: Path
    validation_python: str
    redis: str
    stores: str = ""
    logs: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> PipelineSettings:
        """Read the settings.

        Args:
            environment: Variables to read; the process's own if None.

        Raises:
            SettingsError: The validation interpreter is absent, or stores behind a URL are named without a Redis.
        """
        env = os.environ if environment is None else environment
        python = env.get("KUBEREC_VALIDATION_PYTHON") or str(DEFAULT_PYTHON)
        if not Path(python).is_file():
            raise SettingsError(
                f"{python}, the interpreter of the validation environment, is not there: run `make setup`, or name in "
                "KUBEREC_VALIDATION_PYTHON one that has tensorflow-data-validation"
            )
        stores, redis = env.get("KUBEREC_STORES", ""), env.get("KUBEREC_REDIS", "")
        if "://" in stores and not redis:
            raise SettingsError(
                f"KUBEREC_STORES is {stores}, which cannot hold online features: name a Redis server for them in "
                "KUBEREC_REDIS (host:port)"
            )
        return cls(
            Path(env.get("KUBEREC_BUILD", "build")).resolve(), python, redis, stores, env.get("KUBEREC_LOGS", "")
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

    def _place(self, named: str, default: str, dataset_name: str) -> str:
        """A dataset's own place below a directory or URL that was named, else below the build folder."""
        if "://" in named:
            return f"{named.rstrip('/')}/{dataset_name}"
        folder = Path(named).resolve() if named else self.build_dir / default
        return str(folder / dataset_name)
