"""What each image installs: pins for all of it, and nothing that belongs to another image."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.kit.checkout import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=!;\s]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_every_requirement_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {_name(line) for line in lines if re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)}
    assert all(line.startswith("#") or "==" in line for line in lines), "a constraint is not a pin"
    wanted = {_name(each) for extra in PROJECT["optional-dependencies"].values() for each in extra}
    assert wanted | {_name(each) for each in PROJECT["dependencies"]} <= pins


@pytest.mark.parametrize("package", ["torch", "kfp", "lightgbm", "optuna", "evidently", "tensorflow_data_validation"])
def test_the_transformer_has_no_package_of_another_image(serving_python: Path, package: str) -> None:
    found = subprocess.run([serving_python, "-c", f"import {package}"], capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError" in found.stderr


@pytest.mark.parametrize(
    "module",
    [
        "inference.recommender",
        "inference.models.encoder",
        "inference.feature_store",
        "inference.transformer",
        "inference.predictor",
    ],
)
def test_both_servers_import_with_the_packages_of_the_transformer(serving_python: Path, module: str) -> None:
    subprocess.run([serving_python, "-c", f"import {module}"], cwd=ROOT, check=True)
