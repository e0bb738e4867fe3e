"""One shop for all tests of retrieval."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit import shop


@pytest.fixture(scope="session")
def shop_dirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Tables and features of the shop."""
    return shop.write(tmp_path_factory.mktemp("shop"))
