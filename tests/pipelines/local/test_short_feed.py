"""A short feed is explained by the bundle's size and by what the filters removed, which real metrics name."""

from __future__ import annotations

import http.server
import threading

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from inference.filters.availability import AvailabilityFilter
from inference.filters.repeats import RepeatsFilter
from inference.metrics import Metrics
from pipelines.local.short_feed import REMOVED, explain, removed_items


@pytest.mark.parametrize(
    ("shown", "items", "removed", "words"),
    [
        (
            0,
            3,
            {"repeats": 3},
            "and the bundle has 3. Filters removed 3 that",
        ),
        (0, 5, {"availability": 9}, "Filters removed 5 that are out of stock"),
        (
            2,
            5,
            {"repeats": 1, "availability": 2},
            "The feed has 2 items: 20 were requested, and the bundle has 5. Filt",
        ),
        (1, 1, {"repeats": 0}, "The feed has 1 items: 20 were requested, and the bundle has 1."),
        (0, 2, {"other": 2}, "Filters removed 2 that the filter other excludes."),
    ],
)
def test_the_sentence(shown, items, removed, words):
    assert words in explain(shown, 20, items, removed)


def test_the_explained_filters_exist():
    assert set(REMOVED) <= {RepeatsFilter.name, AvailabilityFilter.name}


def test_the_counters_are_read_from_a_server():
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.filtered("repeats", 3)
    metrics.filtered("availability", 1)

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(generate_latest(registry))

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert removed_items(f"http://127.0.0.1:{server.server_port}") == {"repeats": 3, "availability": 1}
        thread.join(timeout=10)
