"""Imports Feast without what it loads for others: six seconds of a core in every server and step become two.

- Feast marks its classes `@typechecked`, and typeguard then parses and compiles a class's module again for each method.
  Its documentation calls that no thing for production and makes it a no-op under `python -O`, which would take away
  all assertions too: https://typeguard.readthedocs.io/en/stable/api.html#typeguard.typechecked
- Feast loads torch, where it is installed, to be able to hand out tensors; without it 180 MB less are in memory.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typeguard


@contextmanager
def without_extras() -> Iterator[None]:
    """In this block `@typechecked` does nothing, and torch is not there unless it is loaded already."""
    checked: Any = typeguard.typechecked
    hidden = "torch" not in sys.modules
    typeguard.typechecked = _unchanged
    if hidden:
        sys.modules["torch"] = None  # type: ignore[assignment]  # the import system's own way to say so
    try:
        yield
    finally:
        typeguard.typechecked = checked
        if hidden:
            del sys.modules["torch"]


def _unchanged(target: Any = None, **_options: object) -> Any:
    """What typeguard's decorator gives under `python -O`, used plainly or with options."""
    if target is None:
        again: Callable[[Any], Any] = _unchanged
        return again
    return target
