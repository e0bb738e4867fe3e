"""Fixtures that the tests of the log share."""

from __future__ import annotations

import pytest

from tests.kit import served_log


@pytest.fixture
def counted():
    return served_log.Counted()


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"
