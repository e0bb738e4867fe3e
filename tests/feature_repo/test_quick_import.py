"""Feast is imported without being instrumented, whichever module of ours comes first."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOOK = """
import importlib, sys, typeguard
before = typeguard.typechecked
importlib.import_module(sys.argv[1])
assert typeguard.typechecked is before
import feast
print(*feast.FeatureView.__init__.__code__.co_names)
"""


def names_used(module: str) -> str:
    """Names that the constructor of Feast's FeatureView uses where a module was imported first."""
    done = subprocess.run([sys.executable, "-c", LOOK, module], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    "module", ["feature_repo.definitions", "inference.feature_store.online", "inference.historical_features"]
)
def test_feast_is_not_instrumented(module: str) -> None:
    assert "check_argument_types" not in names_used(module)


def test_it_would_be_without_us() -> None:
    assert "check_argument_types" in names_used("feast")
