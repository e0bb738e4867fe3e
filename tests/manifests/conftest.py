"""All installations, rendered once as `make render` does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.kit.checkout import ROOT
from tests.manifests.cluster import Document, read
from tests.manifests.installations import ALL, write_overlays


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the rendered files."""
    folder = tmp_path_factory.mktemp("manifests")
    command = [ROOT / ".ci" / "render", folder, write_overlays(tmp_path_factory.mktemp("overlays"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if "Rendering needs kustomize" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session", params=ALL)
def documents(rendered: Path, request: pytest.FixtureRequest) -> list[Document]:
    """All documents of one installation; shared, so for reading only."""
    return read(rendered / f"{request.param}.yaml")
