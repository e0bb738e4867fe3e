"""The selectors, in the order in which they run. A new selector is one file and one entry here."""

from __future__ import annotations

from inference.selectors.best import BestSelector

SELECTORS = (BestSelector,)
