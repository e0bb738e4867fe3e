"""Kubeflow Pipelines, asked through kfp.Client: submit a run, find one by its name, say how one ended.

Owns what the API's states and errors mean here. A name says which run it is: whoever would submit asks first.
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

from kfp import Client, compiler
from kfp.dsl.graph_component import GraphComponent
from kfp_server_api import ApiException
from urllib3 import Timeout
from urllib3.exceptions import HTTPError

from feature_repo.errors import ClusterError, SettingsError
from pipelines.cluster.pods import furnish
from pipelines.settings import ClusterSettings

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0  # it makes a run in its database and in Kubernetes before it answers
PAGE = 100
STRANGER = "something else answers there, such as a page to log in"
State = Literal["running", "succeeded", "failed"]
_ENDED: Mapping[str, State] = {
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELED": "failed",
    "SKIPPED": "failed",
}


@dataclass(frozen=True, slots=True)
class ClusterRun:
    """A run as the API tells it.

    Attributes:
        run_id: Its id.
        name: Its display name.
        state: How it stands.
        failed_steps: Names of the tasks that failed, as the pipeline calls them.
        error: What the API says of the failure, "" where it says nothing.
        finished_at: Unix seconds, None while it runs.
    """

    run_id: str
    name: str
    state: State
    failed_steps: tuple[str, ...] = ()
    error: str = ""
    finished_at: float | None = None


class Cluster:
    """One installation; nothing is asked of it before the first call.

    Args:
        settings: Where it is.
        answer_seconds: Time that it has for an answer. A run may have been made all the same: `find` tells.
    """

    def __init__(self, settings: ClusterSettings, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._settings = settings
        self._limit = Timeout(connect=CONNECT_SECONDS, read=answer_seconds)

    def submit(
        self, pipeline: GraphComponent, arguments: Mapping[str, object], *, name: str, experiment: str
    ) -> ClusterRun:
        """Start a run of the definition that also runs locally.

        Args:
            pipeline: The definition.
            arguments: All its parameters that have no default.
            name: Display name of the run.
            experiment: Made if it is not there.

        Raises:
            ClusterError: It was not accepted, or nobody knows: `find` tells.
        """
        with self._asking(), tempfile.TemporaryDirectory(prefix="kuberec-compiled-") as scratch:
            path = Path(scratch) / "pipeline.yaml"
            compiler.Compiler().compile(pipeline, str(path))
            furnish(path, self._settings)
            made = self._client.create_run_from_pipeline_package(
                str(path),
                arguments=dict(arguments),
                run_name=name,
                experiment_name=experiment,
                namespace=self._settings.namespace or None,
            )
        if not made.run_id:
            raise self._failed(STRANGER, 401)
        return ClusterRun(run_id=made.run_id, name=name, state="running")

    def find(self, name: str) -> ClusterRun | None:
        """The run of this name, the latest if there are several; None if there is none.

        Raises:
            ClusterError: It cannot be said.
        """
        wanted = json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})
        found: list[Any] = []
        token = ""
        with self._asking():
            while True:
                page = self._client.list_runs(
                    page_token=token, page_size=PAGE, namespace=self._settings.namespace or None, filter=wanted
                )
                found += [run for run in page.runs or [] if run.display_name == name]
                token = page.next_page_token or ""
                if not token:
                    break
        return _told(max(found, key=lambda run: run.created_at)) if found else None

    def look(self, run_id: str) -> ClusterRun | None:
        """How a run stands; None where there is no such run.

        Raises:
            ClusterError: It cannot be said.
        """
        with self._asking():
            try:
                run = self._client.get_run(run_id)
            except ApiException as error:
                if error.status == 404:
                    return None
                raise
        if not run.run_id:
            raise self._failed(STRANGER, 401)
        return _told(run)

    @cached_property
    def _client(self) -> Client:
        token = self._token()
        self._knock(token)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # that it wants a server of version 2, on every start
            # Without one of its own the client looks for a namespace, and keeps what it finds below the home folder.
            namespace = {"namespace": self._settings.namespace} if self._settings.namespace else {}
            client = Client(host=self._settings.endpoint, existing_token=token or None, **namespace)
        # The client itself would wait for ever, and a lease with it. All of its services share these connections.
        connections = client._run_api.api_client.rest_client.pool_manager
        ask = connections.request
        connections.request = lambda *words, **options: ask(*words, **{**options, "timeout": self._limit})
        return client

    def _token(self) -> str:
        file = self._settings.token_file
        if not file:
            return ""
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"KUBEREC_KFP_TOKEN_FILE is {file}, which cannot be read: {error.strerror}") from error

    def _knock(self, token: str) -> None:
        """Ask for a sign of life: the client prints tracebacks as it retries, and takes any page for an answer."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        address = f"{self._settings.endpoint.rstrip('/')}/apis/v2beta1/healthz"
        try:
            with urllib.request.urlopen(
                urllib.request.Request(address, headers=headers), timeout=CONNECT_SECONDS
            ) as answer:
                said = answer.read().strip()
        except urllib.error.HTTPError as error:
            raise self._failed(f"it answers {error.code} {error.reason}", error.code) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self._failed(str(getattr(error, "reason", error)) or type(error).__name__, 0) from error
        if not said.startswith(b"{"):
            raise self._failed(STRANGER, 401)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except ApiException as error:
            raise self._failed(_reason(error), int(error.status or 0)) from error
        except (HTTPError, OSError, ValueError) as error:
            raise self._failed(" ".join(str(error).split())[:300], 0) from error

    def _failed(self, why: str, status: int) -> ClusterError:
        advice = "check KUBEREC_KFP_ENDPOINT and that the API server runs"
        if status in (401, 403):
            advice = "check KUBEREC_KFP_TOKEN_FILE, KUBEREC_KFP_NAMESPACE and what the account may do there"
        elif 400 <= status < 500:
            advice = "check KUBEREC_KFP_NAMESPACE and the version of the installation"
        return ClusterError(f"Kubeflow Pipelines at {self._settings.endpoint} cannot be used ({why}): {advice}")


def _told(run: Any) -> ClusterRun:
    tasks = (run.run_details.task_details if run.run_details else None) or []
    failed = tuple(str(task.display_name) for task in tasks if task.state == "FAILED" and task.display_name)
    errors = [error.message for error in (run.error, *(task.error for task in tasks)) if error and error.message]
    state = _ENDED.get(str(run.state), "running")
    finished = run.finished_at.timestamp() if run.finished_at and state != "running" else None
    error = " ".join(errors[0].split())[:300] if errors else ""
    return ClusterRun(str(run.run_id), str(run.display_name), state, failed, error, finished)


def _reason(error: ApiException) -> str:
    """What the server said, in one line."""
    try:
        said = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        said = error.reason
    return f"it answers {error.status}: {' '.join(str(said).split())[:300]}"
