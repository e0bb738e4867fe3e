"""Fixtures that the tests of the log share."""

from __future__ import annotations

import pytest

from tests.inference.log import logs


@pytest.fixture
def counted():
    return logs.Counted()


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"
