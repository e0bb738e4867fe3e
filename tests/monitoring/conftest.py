"""Prometheus and its tools as the system has them."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.kit.checkout import ROOT


def installed(program: str) -> str:
    """Path of a program of the Debian packages that `.ci/install-servers` installs; skips where it cannot."""
    if shutil.which(program) is None:
        subprocess.run([ROOT / ".ci" / "install-servers"], check=True, timeout=300)
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed, and this user cannot install it through apt")
    return found


@pytest.fixture(scope="session")
def promtool() -> str:
    return installed("promtool")
