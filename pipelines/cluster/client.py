"""A client of Kubeflow Pipelines on kfp.Client: submits runs, finds a run by its name, and reads its state.

Translates the states and errors of the API. Names identify runs, so callers look for a run with `find` before they
submit it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import tempfile
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from kfp import Client
from kfp.dsl.graph_component import GraphComponent
from kfp_server_api import ApiException
from urllib3 import Timeout
from urllib3.exceptions import HTTPError

from feature_repo.errors import ClusterError, SettingsError
from pipelines.cluster.pods import compile_pipeline
from pipelines.settings import ClusterSettings

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0  # the API server creates a run in its database and in Kubernetes before it answers
PAGE = 100
UNEXPECTED_ANSWER = "another server answers there, such as a login page"
State = Literal["running", "succeeded", "failed"]
_ENDED: Mapping[str, State] = {
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELED": "failed",
    "SKIPPED": "failed",
}


@dataclass(frozen=True, slots=True)
class ClusterRun:
    """A run as the API reports it.

    Attributes:
        run_id: Id of the run.
        name: Display name of the run.
        state: State of the run.
        failed_steps: Names of the failed tasks in the pipeline.
        error: The API's first error message, "" without one.
        finished_at: End of the run, unix seconds; None while it runs.
    """

    run_id: str
    name: str
    state: State
    failed_steps: tuple[str, ...] = ()
    error: str = ""
    finished_at: float | None = None


class Cluster:
    """One installation of Kubeflow Pipelines; the first call connects to it.

    Args:
        settings: Address and credentials.
        answer_seconds: Time limit of an answer. After a timeout `find` shows whether the run was created.
    """

    def __init__(self, settings: ClusterSettings, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._settings = settings
        self._limit = Timeout(connect=CONNECT_SECONDS, read=answer_seconds)

    def submit(
        self, pipeline: GraphComponent, arguments: Mapping[str, object], *, name: str, experiment: str
    ) -> ClusterRun:
        """Submits a run of a pipeline.

        Args:
            pipeline: Definition of the pipeline, the same as for local runs.
            arguments: Arguments of the pipeline; parameters with a default may be left out.
            name: Display name of the run.
            experiment: Name of the experiment; created if it does not exist.

        Raises:
            ClusterError: The run was refused, or no answer arrived; then `find` shows whether the run exists.
        """
        with self._translated_errors(), tempfile.TemporaryDirectory(prefix="kuberec-compiled-") as scratch:
            path = Path(scratch) / "pipeline.yaml"
            compile_pipeline(pipeline, path, self._settings)
            made = self._client.create_run_from_pipeline_package(
                str(path),
                arguments=dict(arguments),
                run_name=name,
                experiment_name=experiment,
                namespace=self._settings.namespace or None,
            )
        if not made.run_id:
            raise self._failed(UNEXPECTED_ANSWER, 401)
        return ClusterRun(run_id=made.run_id, name=name, state="running")

    def find(self, name: str) -> ClusterRun | None:
        """The latest run with this name, None if there is none.

        Raises:
            ClusterError: The API cannot be reached or refuses the call.
        """
        wanted = json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})
        found: list[Any] = []
        token = ""
        with self._translated_errors():
            while True:
                page = self._client.list_runs(
                    page_token=token, page_size=PAGE, namespace=self._settings.namespace or None, filter=wanted
                )
                found += [run for run in page.runs or [] if run.display_name == name]
                token = page.next_page_token or ""
                if not token:
                    break
        return _run_of(max(found, key=lambda run: run.created_at)) if found else None

    def look(self, run_id: str) -> ClusterRun | None:
        """The current state of a run; None if there is no such run.

        Raises:
            ClusterError: The API cannot be reached or refuses the call.
        """
        with self._translated_errors():
            try:
                run = self._client.get_run(run_id)
            except ApiException as error:
                if error.status == 404:
                    return None
                raise
        if not run.run_id:
            raise self._failed(UNEXPECTED_ANSWER, 401)
        return _run_of(run)

    @cached_property
    def _client(self) -> Client:
        token = self._token()
        self._check_health(token)
        with warnings.catch_warnings():
            # kfp warns on every start that it needs a server of version 2.
            warnings.simplefilter("ignore", FutureWarning)
            # Without an explicit namespace the client looks for one, and stores the result below the home folder.
            namespace = {"namespace": self._settings.namespace} if self._settings.namespace else {}
            client = Client(host=self._settings.endpoint, existing_token=token or None, **namespace)
        # The client has no timeout; a hanging call would block the lease forever. All its services share this pool.
        connections = client._run_api.api_client.rest_client.pool_manager
        request = connections.request
        connections.request = lambda *values, **options: request(*values, **{**options, "timeout": self._limit})
        return client

    def _token(self) -> str:
        file = self._settings.token_file
        if not file:
            return ""
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(
                f"KUBEREC_KFP_TOKEN_FILE is {file}, which cannot be read ({error.strerror}): check the path."
            ) from error

    def _check_health(self, token: str) -> None:
        """Checks that the API answers: kfp.Client itself prints tracebacks on retries and accepts any page."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        address = f"{self._settings.endpoint.rstrip('/')}/apis/v2beta1/healthz"
        try:
            with urllib.request.urlopen(
                urllib.request.Request(address, headers=headers), timeout=CONNECT_SECONDS
            ) as answer:
                said = answer.read().strip()
        except urllib.error.HTTPError as error:
            raise self._failed(f"the answer is {error.code} {error.reason}", error.code) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self._failed(str(getattr(error, "reason", error)) or type(error).__name__, 0) from error
        if not said.startswith(b"{"):
            raise self._failed(UNEXPECTED_ANSWER, 401)

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except ApiException as error:
            raise self._failed(_reason(error), int(error.status or 0)) from error
        except (HTTPError, OSError, ValueError) as error:
            raise self._failed(" ".join(str(error).split())[:300], 0) from error

    def _failed(self, why: str, status: int) -> ClusterError:
        advice = "check KUBEREC_KFP_ENDPOINT and that the API server runs"
        if status in (401, 403):
            advice = "check KUBEREC_KFP_TOKEN_FILE, KUBEREC_KFP_NAMESPACE and the permissions of the account"
        elif 400 <= status < 500:
            advice = "check KUBEREC_KFP_NAMESPACE and the version of the installation"
        return ClusterError(f"Kubeflow Pipelines at {self._settings.endpoint} cannot be used ({why}): {advice}.")


def _run_of(run: Any) -> ClusterRun:
    tasks = (run.run_details.task_details if run.run_details else None) or []
    failed = tuple(str(task.display_name) for task in tasks if task.state == "FAILED" and task.display_name)
    errors = [error.message for error in (run.error, *(task.error for task in tasks)) if error and error.message]
    state = _ENDED.get(str(run.state), "running")
    finished = run.finished_at.timestamp() if run.finished_at and state != "running" else None
    error = " ".join(errors[0].split())[:300] if errors else ""
    return ClusterRun(str(run.run_id), str(run.display_name), state, failed, error, finished)


def _reason(error: ApiException) -> str:
    """The error message of the server, in one line."""
    try:
        said = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        said = error.reason
    return f"the answer is {error.status}: {' '.join(str(said).split())[:300]}"
