"""The words of reason sentences: titles, category names, and verbs for what a user did.

A word must be true: "bought" is used only if the objective's events are purchases, and a category only if it is text.
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
DEFAULT_VERB = "chose {}"


def verbs(objectives: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Returns a verb in the past tense ("bought {}") for each objective whose event types imply a verb.

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
        """Returns the item's title, or its id if it has no title."""
        return self.artifacts.contents.title(row)

    def category(self, row: int) -> str:
        """Returns the item's category, "" if it is unknown or not a word."""
        return self.word("category", self.artifacts.category_code(row))

    def word(self, column: str, code: int) -> str:
        """Returns the text of a code of an item column, "" if it is unknown or not a word."""
        values = self.artifacts.feature_set.vocabularies.get(f"items.{column}", ())
        text = values[code - 1] if 0 < code <= len(values) else ""
        return text if any(letter.isalpha() for letter in text) else ""

    def did(self, grade: int, what: str) -> str:
        """Returns the user's action in the past tense, such as "bought this"."""
        objectives = self.artifacts.feature_set.objectives
        name = objectives[grade - 1] if 0 < grade <= len(objectives) else ""
        return self.artifacts.config.verbs.get(name, DEFAULT_VERB).replace("{}", what)
