"""The selectors, in the order in which they run. A new selector is one file and one entry here."""

from __future__ import annotations

from collections.abc import Callable

from inference.models.artifacts import Artifacts
from inference.selectors.best import BestSelector
from inference.selectors.protocol import Selector

SELECTORS: tuple[Callable[[Artifacts], Selector], ...] = (BestSelector,)
