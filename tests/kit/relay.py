"""Passes TCP connections on to a server and counts how many are open at a time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CHUNK = 1 << 16


@dataclass
class Relay:
    """A passage.

    Attributes:
        url: Its address.
        opened: Connections so far.
        most_open: Most of them open at a time.
    """

    url: str
    opened: int = 0
    most_open: int = 0
    _open: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        with self._lock:
            self.opened += 1
            self._open += 1
            self.most_open = max(self.most_open, self._open)

    def finish(self) -> None:
        with self._lock:
            self._open -= 1


@contextmanager
def relay(target: str) -> Iterator[Relay]:
    """A passage to the server at a URL, closed to new connections with the block."""
    address = urlsplit(target)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        made = Relay(f"http://127.0.0.1:{listening.getsockname()[1]}")
        arguments = (listening, (str(address.hostname), int(address.port or 80)), made)
        threading.Thread(target=_accept, args=arguments, daemon=True).start()
        yield made
        listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, target: tuple[str, int], made: Relay) -> None:
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            threading.Thread(target=_pass, args=(client, target, made), daemon=True).start()


def _pass(client: socket.socket, target: tuple[str, int], made: Relay) -> None:
    made.begin()
    with client, socket.create_connection(target) as server:
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()
    made.finish()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(CHUNK):
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
