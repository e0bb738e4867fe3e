"""A small HTTP server that speaks the v2beta1 calls of Kubeflow Pipelines which kfp.Client makes for us.

It keeps what it is given and refuses what a real one refuses: other paths, a missing token, a run of no experiment.
How a run ends is for the test to say, and whether the server is well:

breaks   makes the run that it is asked for and answers with an error
hangs    makes it and does not answer
page     answers everything with a page, like a proxy that wants somebody to log in
"""

from __future__ import annotations

import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from uuid import uuid4

API = "/apis/v2beta1"


class KfpServer:
    """One installation.

    Attributes:
        runs, experiments: As the API tells them, in the order they were made.
        token: Bearer token asked for, "" for none.
        multi_user: Whether a namespace must be named.
        page_size: Rows of a page at most, whatever is asked.
        requests: Method and path of every request.
        mood: Whether it is well.
    """

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.experiments: list[dict[str, Any]] = []
        self.token = ""
        self.multi_user = False
        self.page_size = 100
        self.requests: list[str] = []
        self.mood: Literal["well", "breaks", "hangs", "page"] = "well"
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def end(self, run_id: str, state: str, failed: tuple[str, ...] = (), error: str = "") -> None:
        """Let a run end, with the tasks that failed."""
        run = next(run for run in self.runs if run["run_id"] == run_id)
        tasks = [{"display_name": "root", "state": state}, {"display_name": "ingest-dataset", "state": "SUCCEEDED"}]
        tasks += [{"display_name": name, "state": "FAILED"} for name in failed]
        run |= {"state": state, "finished_at": _stamp(), "run_details": {"task_details": tasks}}
        if error:
            run["error"] = {"code": 13, "message": error}

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """Status and body of an answer."""
        with self._lock:
            parts = path.removeprefix(API).strip("/").split("/")
            match (method, parts):
                case ("GET", ["healthz"]):
                    return 200, {"multi_user": self.multi_user}
                case ("GET", ["experiments"]):
                    return self._page("experiments", self.experiments, query)
                case ("POST", ["experiments"]):
                    return self._add(self.experiments, {"experiment_id": uuid4().hex, **body})
                case ("GET", ["runs"]):
                    return self._page("runs", self.runs, query)
                case ("POST", ["runs"]):
                    return self._start(body)
                case ("GET", ["runs", run_id]):
                    found = next((run for run in self.runs if run["run_id"] == run_id), None)
                    return (200, found) if found else (404, {"code": 5, "message": f"run {run_id} not found"})
        return 404, {"code": 5, "message": f"no {method} {path}"}

    def _start(self, body: Any) -> tuple[int, Any]:
        if all(one["experiment_id"] != body.get("experiment_id") for one in self.experiments):
            return 400, {"code": 3, "message": "the run names no experiment"}
        definition = body["pipeline_spec"]
        if not definition.get("pipeline_spec", definition).get("root"):  # alone, or with what is for Kubernetes
            return 400, {"code": 3, "message": "the run has no pipeline"}
        return self._add(self.runs, {"run_id": uuid4().hex, "state": "PENDING", **body})

    def _add(self, rows: list[dict[str, Any]], row: dict[str, Any]) -> tuple[int, Any]:
        rows.append({**row, "created_at": _stamp()})
        return 200, rows[-1]

    def _page(self, name: str, rows: list[dict[str, Any]], query: dict[str, str]) -> tuple[int, Any]:
        if self.multi_user and not query.get("namespace"):
            return 400, {"code": 3, "message": "a namespace is required in multi-user mode"}
        wanted = json.loads(query["filter"])["predicates"] if query.get("filter") else []
        for one in wanted:
            assert one["operation"] in (1, "EQUALS")  # the enum by number or by name
            rows = [row for row in rows if row.get(one["key"]) == one["stringValue"]]
        start = int(query.get("page_token") or 0)
        end = start + min(int(query.get("page_size") or self.page_size), self.page_size)
        return 200, {name: rows[start:end], "next_page_token": str(end) if end < len(rows) else ""}

    def serve(self) -> None:
        self._http.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        self.stopped.set()
        self._http.shutdown()
        self._http.server_close()


@contextmanager
def started() -> Iterator[KfpServer]:
    """A server on a free port of the loopback, ended with the block."""
    server = KfpServer()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


def _stamp() -> str:
    """Now, RFC 3339."""
    return datetime.now(UTC).isoformat()


def _handler(server: KfpServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer("GET", None)

        def do_POST(self) -> None:
            self._answer("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def log_message(self, *arguments: object) -> None:
            """Nothing: the test reads `requests`."""

        def _answer(self, method: str, body: Any) -> None:
            parts = urllib.parse.urlsplit(self.path)
            server.requests.append(f"{method} {parts.path}")
            if server.token and self.headers.get("Authorization") != f"Bearer {server.token}":
                status, content = 401, {"code": 16, "message": "the token is not known"}
            else:
                query = dict(urllib.parse.parse_qsl(parts.query))
                status, content = server.answer(method, parts.path, query, body)
            submitted = method == "POST" and parts.path.endswith("/runs")
            if submitted and server.mood == "hangs":
                server.stopped.wait()
                return
            if submitted and server.mood == "breaks":
                status, content = 503, {"code": 14, "message": "the connection to the database was lost"}
            page = server.mood == "page"
            encoded = b"<html>Who are you?</html>" if page else json.dumps(content).encode()
            self.send_response(200 if page else status)
            self.send_header("Content-Type", "text/html" if page else "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

    return Handler
