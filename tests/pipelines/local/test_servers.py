"""A port that cannot be had is one sentence, before any server starts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from feature_repo.errors import ServerFailed
from pipelines.local.servers import serve


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = rf"port {port} cannot be listened on \(Address already in use\): .* PORT=8081"
        with pytest.raises(ServerFailed, match=words), serve(str(tmp_path), tmp_path, port=port):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none(tmp_path: Path, port: int) -> None:
    with pytest.raises(ServerFailed, match="ports are 1 to 65535"), serve(str(tmp_path), tmp_path, port=port):
        pass
