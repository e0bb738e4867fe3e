"""A real disk of a few kilobytes that a test fills: a tmpfs, which only root can mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A mounted disk.

    Attributes:
        path: Folder of the disk.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def leave(self, num_bytes: int) -> None:
        """Makes the disk so large that this many bytes fit, in whole pages; 0 makes it full."""
        now = os.statvfs(self.path)
        used = (now.f_blocks - now.f_bfree) * now.f_frsize
        self._mount("-o", f"remount,size={used + num_bytes}" if used + num_bytes else "remount,size=4096")
        if not used + num_bytes:  # the smallest disk has a page
            (self.path / "filler").write_bytes(bytes(4096))

    def make_room(self) -> None:
        """Makes the disk large again."""
        self._mount("-o", "remount,size=64m")
        (self.path / "filler").unlink(missing_ok=True)

    def _mount(self, *options: str) -> None:
        subprocess.run(["mount", *options, str(self.path)], check=True)


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """Mounts a disk of 64 MB at a new folder; skips the test if this user cannot mount."""
    path.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(path)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"this user cannot mount a small disk: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
