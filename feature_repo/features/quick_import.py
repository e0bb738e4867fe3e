"""Imports Feast without optional work: the import takes two seconds of a core instead of six.

- Feast marks its classes `@typechecked`, and typeguard then parses and compiles the module of a class for each method.
  Its documentation advises against it in production and makes it a no-op under `python -O`, which would also remove all
  assertions: https://typeguard.readthedocs.io/en/stable/api.html#typeguard.typechecked
- Feast shows deprecation warnings of every library for the rest of the process, which users cannot act on.
- Feast loads torch if it is installed, in order to return tensors. Without torch the process needs 180 MB less memory.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typeguard


@contextmanager
def without_extras() -> Iterator[None]:
    """In this block `@typechecked` does nothing, and torch cannot be imported unless it is loaded already.

    The filters of warnings are the same after the block as before.
    """
    checked: Any = typeguard.typechecked
    hidden = "torch" not in sys.modules
    typeguard.typechecked = _unchanged
    if hidden:
        sys.modules["torch"] = None  # type: ignore[assignment]  # makes `import torch` raise ImportError
    try:
        with warnings.catch_warnings():
            yield
    finally:
        typeguard.typechecked = checked
        if hidden:
            del sys.modules["torch"]


def _unchanged(target: Any = None, **_options: object) -> Any:
    """Behaves as typeguard's decorator under `python -O`, with and without options."""
    if target is None:
        again: Callable[[Any], Any] = _unchanged
        return again
    return target
