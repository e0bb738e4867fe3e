"""A shop whose served log can drift, released once, and a Kubeflow Pipelines where its retrainings run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.retraining.ledger_book import Job
from tests.pipelines.drifting import Shop, make_shop
from tests.pipelines.kfp_server import KfpServer, started


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with started() as made:
        yield made


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def shop(released: Shop, tmp_path: Path) -> Shop:
    """A copy of the released shop; its dataset is everybody's."""
    shutil.copytree(released.build, tmp_path / "build")
    return replace(released, build=tmp_path / "build")


@pytest.fixture
def job(shop: Shop, server: KfpServer) -> Job:
    return shop.job(KUBEREC_KFP_ENDPOINT=server.url, KUBEREC_COOLDOWN_SECONDS="0")
