"""Latency of the online path for one client: percentiles of whole requests, and the share of each stage."""

from __future__ import annotations

import http.client
import itertools
import re
import time
import urllib.parse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_TIMING = re.compile(r"([\w-]+);dur=([\d.]+)")


@dataclass(frozen=True, slots=True)
class Latency:
    """Times of n sequential requests.

    Attributes:
        milliseconds: Time of each whole request, measured by the client [n].
        stages: Mean milliseconds of each stage, from the Server-Timing headers.
        num_degraded: Number of degraded answers.
    """

    milliseconds: tuple[float, ...]
    stages: dict[str, float]
    num_degraded: int

    def percentile(self, share: float) -> float:
        """The time in milliseconds within which `share` percent of the requests were answered."""
        return float(np.percentile(self.milliseconds, share))

    def __str__(self) -> str:
        total = self.stages.get("total", sum(self.stages.values())) or 1.0
        shares = sorted(((name, ms) for name, ms in self.stages.items() if name != "total"), key=lambda pair: -pair[1])
        lines = [
            f"Latency over {len(self.milliseconds)} requests of one client: p50 {self.percentile(50):.1f} ms, "
            f"p95 {self.percentile(95):.1f} ms, p99 {self.percentile(99):.1f} ms, degraded {self.num_degraded}.",
            "  Mean by stage: " + ", ".join(f"{name} {ms:.2f} ms ({ms / total:.0%})" for name, ms in shares) + ".",
        ]
        return "\n".join(lines)


def measure(url: str, user_ids: Sequence[str], *, num_requests: int = 500, num_warm: int = 30) -> Latency:
    """Sends requests for the users in turn over one connection.

    Args:
        url: Base URL of the transformer.
        user_ids: At least one.
        num_requests: Number of measured requests.
        num_warm: Number of warm-up requests before them, which are not measured.

    Raises:
        OSError: The server closed the connection or does not answer.
    """
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=10)
    times, degraded = [], 0
    stages: dict[str, float] = defaultdict(float)
    for number, user_id in zip(range(num_warm + num_requests), itertools.cycle(user_ids)):
        start = time.perf_counter()
        connection.request("GET", "/api/v1/recommendations?" + urllib.parse.urlencode({"user_id": user_id}))
        answer = connection.getresponse()
        body = answer.read()
        seconds = time.perf_counter() - start
        if number < num_warm:
            continue
        times.append(1000 * seconds)
        degraded += b'"degraded":[]' not in body.replace(b" ", b"")
        for name, milliseconds in _TIMING.findall(answer.getheader("Server-Timing", "")):
            stages[name] += float(milliseconds) / num_requests
    connection.close()
    return Latency(tuple(times), dict(stages), degraded)
