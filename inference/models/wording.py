"""The words that reasons are made of: titles, category names, and what a user did with an item.

A word is only used where it is true: "bought" only where the objective's events are purchases, a category only where it
is text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inference.models.artifacts import Artifacts

VERBS = {
    "bought {}": ("purchase", "buy", "bought", "order", "checkout"),
    "put {} in your cart": ("cart", "add_to_cart", "basket"),
    "watched {}": ("long_view", "watch", "play", "complete"),
    "liked {}": ("like", "favourite", "favorite", "follow", "save", "wishlist"),
    "viewed {}": ("view", "click", "open", "visit", "read"),
}
ANY_VERB = "chose {}"


def verbs(objectives: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What the user did ("bought {}"), in the past tense, for each objective whose event types say it.

    Args:
        objectives: Objective -> event types, as in `dataset.toml`.
    """
    found = {}
    for objective, event_types in objectives.items():
        for event_type in event_types:
            verb = next((verb for verb, names in VERBS.items() if event_type.lower() in names), None)
            if verb is not None:
                found[objective] = verb
                break
    return found


@dataclass(frozen=True)
class Wording:
    """Words of one release's items and objectives."""

    artifacts: Artifacts

    def title(self, row: int) -> str:
        """The item's title, its id where it has none."""
        return self.artifacts.contents.title(row)

    def category(self, row: int) -> str:
        """The item's category, "" where it is unknown or not a word."""
        return self.word("category", self.artifacts.category_code(row))

    def word(self, column: str, code: int) -> str:
        """The text of a code of an item column, "" where it is unknown or not a word."""
        values = self.artifacts.feature_set.vocabularies.get(f"items.{column}", ())
        text = values[code - 1] if 0 < code <= len(values) else ""
        return text if any(letter.isalpha() for letter in text) else ""

    def did(self, grade: int, what: str) -> str:
        """What the user did with something, in the past tense: "bought this"."""
        objectives = self.artifacts.feature_set.objectives
        name = objectives[grade - 1] if 0 < grade <= len(objectives) else ""
        return self.artifacts.config.verbs.get(name, ANY_VERB).replace("{}", what)
