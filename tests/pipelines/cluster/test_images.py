"""The names of our images: the tag changes with the code and with its packages, and a pod must know it already."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cluster.images import FOLDER, PACKAGE_LISTS, image_names, main
from tests.kit.checkout import ROOT
from tests.test_packaging import PROJECT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the tag is made of."""
    for name in ("feature_repo", "inference", "components", "pipelines", "monitoring", FOLDER):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in PACKAGE_LISTS:
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def _names(checkout: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cluster.images"], cwd=checkout, capture_output=True, text=True, check=False
    )


def test_the_command_prints_the_setting_with_version_and_hash(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBEREC_IMAGES", "registry/{name}:{tag}")
    main([])
    name, _, tag = capsys.readouterr().out.strip().rpartition(":")
    assert name == "registry/{name}"
    version, _, digest = tag.partition("-")
    assert version == PROJECT["version"]
    assert len(digest) == 12
    assert image_names("registry/{name}:mine") == "registry/{name}:mine"


def test_a_changed_package_list_changes_the_tag_and_an_image_has_none(checkout: Path) -> None:
    first = _names(checkout).stdout
    assert first == f"{image_names('kuberec/{name}:{tag}')}\n"
    with (checkout / "constraints.txt").open("a") as file:
        file.write("another==1.0\n")
    changed = _names(checkout).stdout
    assert changed not in ("", first)
    shutil.rmtree(checkout / FOLDER)
    (checkout / "pyproject.toml").unlink()
    refused = _names(checkout)
    assert refused.returncode == 8
    assert "only a checkout knows the tag" in refused.stderr
