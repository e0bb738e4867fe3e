"""Imports without typeguard's instrumentation, which is most of what importing Feast costs.

Feast marks its classes `@typechecked`; typeguard then parses and compiles the class's module again for each method:
four of the six seconds of a core that `import feast` takes, in every server and every step. Its documentation calls
that no thing for production and makes it a no-op under `python -O`, which would take away all assertions too.
https://typeguard.readthedocs.io/en/stable/api.html#typeguard.typechecked
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typeguard


@contextmanager
def without_type_checks() -> Iterator[None]:
    """Modules first imported in this block are as `python -O` would have them: `@typechecked` does nothing."""
    checked: Any = typeguard.typechecked
    typeguard.typechecked = _unchanged
    try:
        yield
    finally:
        typeguard.typechecked = checked


def _unchanged(target: Any = None, **_options: object) -> Any:
    """What typeguard's decorator gives under `python -O`, used plainly or with options."""
    if target is None:
        again: Callable[[Any], Any] = _unchanged
        return again
    return target
