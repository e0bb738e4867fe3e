"""Feast is imported without what it loads for others, whichever module of ours comes first."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOOK = """
import importlib, sys, typeguard, warnings
before = typeguard.typechecked
importlib.import_module(sys.argv[1])
assert typeguard.typechecked is before
print("warnings" if any(kind[:3] == ("once", None, DeprecationWarning) for kind in warnings.filters) else "no warnings")
import feast
print("instrumented" if "TypeCheckMemo" in feast.FeatureView.__init__.__code__.co_names else "plain")
print("torch" if "torch" in sys.modules else "no torch")
import torch
print(int(torch.ones(2).sum()))
"""


def look(module: str) -> list[str]:
    """What a process sees that imported this module first: Feast's classes, whether torch came along, and torch."""
    done = subprocess.run([sys.executable, "-c", LOOK, module], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "module", ["feature_repo.definitions", "inference.feature_store.online", "inference.feature_store.historical"]
)
def test_feast_comes_alone(module: str) -> None:
    assert look(module) == ["no warnings", "plain", "no torch", "2"]


def test_by_itself_it_does_not() -> None:
    assert look("feast") == ["warnings", "instrumented", "torch", "2"]


def test_torch_that_is_there_stays() -> None:
    code = "import torch, feature_repo.definitions, sys; assert sys.modules['torch'] is torch"
    subprocess.run([sys.executable, "-c", code], check=True)
