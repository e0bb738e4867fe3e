"""The route that takes events, where the disk behind it does not answer."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI
from fastapi.testclient import TestClient

from inference.api import problems
from inference.api.clock import Clock
from inference.server.events_route import EVENTS_PATH, events_route
from tests.inference.server.bare_service import EVENT, service
from tests.kit import served_log


def test_a_disk_that_does_not_answer_is_a_503_that_counts(log, counted, monkeypatch):
    monkeypatch.setattr("inference.server.events_route.SYNC_SECONDS", 0.05)
    real, answers = os.fdatasync, threading.Event()

    def hanging(descriptor: int) -> None:
        answers.wait(timeout=10)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", hanging)
    writer = served_log.writer(log, log / ".spool", counted)
    writer.start()
    app = FastAPI()
    problems.install(app)
    with ThreadPoolExecutor(1) as pool:
        app.include_router(events_route(service(Clock(), counted, writer), pool, counted.metrics))
        answer = TestClient(app).post(EVENTS_PATH, json=[EVENT, {**EVENT, "event_id": "e2"}])
    assert answer.status_code == 503
    assert "post the events again" in answer.json()["detail"]
    assert counted.events("failed") == 2
    answers.set()
    writer.stop()
    assert served_log.num_rows(log, "interactions") == 2  # kept after all: posted again, they would be known
