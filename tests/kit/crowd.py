"""Clients in threads that ask servers without a pause and collect what was wrong."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import httpx


@dataclass
class Crowd(ABC):
    """Runs within a `with` block.

    Attributes:
        urls: The server of each client.
        failures: What was wrong; a call without an answer is one of them.
    """

    urls: Sequence[str]
    failures: list[str] = field(default_factory=list, init=False)

    headers: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def ask(self, number: int, client: httpx.Client) -> None:
        """Asks once, as the client of this number."""

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(len(self.urls))]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)

    def _run(self, number: int) -> None:
        with httpx.Client(base_url=self.urls[number], headers=dict(self.headers), timeout=20) as client:
            while not self._stop.is_set():
                try:
                    self.ask(number, client)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
