"""A reason in words for every item of a slate: what the source that ranked it best knows, and nothing else.

It refuses to say what is not so: "bought" only where the objective's events are purchases, a category only where the
user's history has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import UserColumns
from inference.candidates.query import CandidateSet, Query
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
class ReasonWriter:
    """Writes the reasons of selected items; a few string operations an item, so for slates, not for candidates."""

    artifacts: Artifacts

    def write(
        self, queries: Sequence[Query], users: UserColumns, top: CandidateSet, names: npt.NDArray[np.object_]
    ) -> npt.NDArray[np.object_]:
        """Reasons [n] of the selected items.

        Args:
            queries: q queries.
            users: Their users [q].
            top: Selected items [n].
            names: The source that ranked each best [n].
        """
        reasons = np.empty(len(top), dtype=object)
        seeds = self.artifacts.seed_rows(queries)
        lasts = self.artifacts.last_rows(queries)
        for place, query in enumerate(queries):
            span = slice(int(top.offsets[place]), int(top.offsets[place + 1]))
            if query.surface == "similar":
                reasons[span] = self._beside(int(seeds[place]), top.rows[span], names[span])
            else:
                person = _Person(query, users, place, int(lasts[place]))
                reasons[span] = self._personal(person, top.rows[span], names[span])
        return reasons

    def _personal(self, person: _Person, rows: npt.NDArray[np.int32], names: npt.NDArray[np.object_]) -> list[str]:
        because = self._because(person, rows, names == "covisitation")
        country = person.query.country or str(person.users.country[person.place])
        popular = f"Popular in {country}" if self._has_list(country) else "Popular right now"
        tastes = self._tastes(person) if (names == "two_tower").any() else {}
        reasons = []
        for row, name in zip(rows.tolist(), names, strict=True):
            if name == "own":
                reasons.append(self._own(person, row))
            elif name == "two_tower":
                reasons.append(self._picked(row, tastes))
            elif name == "covisitation" and row in because:
                reasons.append(because[row])
            else:
                reasons.append(popular)
        return reasons

    def _own(self, person: _Person, row: int) -> str:
        own = person.users.own
        first, stop = int(own.offsets[person.place]), int(own.offsets[person.place + 1])
        at = first + int(np.searchsorted(own.rows[first:stop], row))
        grade = int(own.grades[at]) if at < stop and own.rows[at] == row else 0
        return f"You {self._did(grade, 'this')} before"

    def _because(self, person: _Person, rows: npt.NDArray[np.int32], wanted: npt.NDArray[np.bool_]) -> dict[int, str]:
        """Item row -> reason, by the seed whose neighbour it is most."""
        history = person.users.history
        first, stop = int(history.offsets[person.place]), int(history.offsets[person.place + 1])
        seeds = history.rows[first:stop]
        grades = history.grades[first:stop].astype(np.int64)
        if person.last_row >= 0:
            seeds, grades = np.append(seeds, np.int32(person.last_row)), np.append(grades, 1)
        items = rows[wanted]
        if len(items) == 0 or len(seeds) == 0:
            return {}
        weight = self.artifacts.neighbours.weight(np.tile(seeds, len(items)), np.repeat(items, len(seeds)))
        weight = weight.reshape(len(items), len(seeds))
        strongest = len(seeds) - 1 - np.argmax(weight[:, ::-1], axis=1)  # the latest where several are equal
        found = {}
        for place, row in enumerate(items.tolist()):
            seed = int(strongest[place])
            if weight[place, seed] > 0:
                found[row] = f"Because you {self._did(int(grades[seed]), self._title(int(seeds[seed])))}"
        return found

    def _tastes(self, person: _Person) -> dict[str, set[int]]:
        """Column -> codes in the user's history, for the columns a person understands."""
        history = person.users.history
        rows = history.rows[int(history.offsets[person.place]) : int(history.offsets[person.place + 1])]
        columns = self.artifacts.feature_set.item_categorical
        categorical = self.artifacts.items.categorical
        return {
            name: set(categorical[rows, columns.index(name)].tolist()) - {0}
            for name in ("category", "brand")
            if name in columns
        }

    def _picked(self, row: int, tastes: Mapping[str, set[int]]) -> str:
        columns = self.artifacts.feature_set.item_categorical
        for name, codes in tastes.items():
            code = int(self.artifacts.items.categorical[row, columns.index(name)])
            if code in codes:
                text = self._word(name, code)
                if text:
                    return f"Picked for you: {text}"
        return "Picked for you"

    def _beside(self, seed: int, rows: npt.NDArray[np.int32], names: npt.NDArray[np.object_]) -> list[str]:
        if seed < 0:
            return ["Popular right now"] * len(rows)
        title = self._title(seed)
        category = self._word("category", self.artifacts.category_code(seed))
        same = self.artifacts.categories[rows] == self.artifacts.category_code(seed)
        fallback = [f"Popular in {category}" if category and one else "Popular right now" for one in same]
        words = {"two_tower": f"Similar to {title}", "covisitation": f"Others who chose {title} chose this too"}
        return [words.get(name, popular) for name, popular in zip(names, fallback, strict=True)]

    def _title(self, row: int) -> str:
        return self.artifacts.contents.title(row)

    def _word(self, column: str, code: int) -> str:
        """The text of a code, "" where it is unknown or no word."""
        values = self.artifacts.feature_set.vocabularies.get(f"items.{column}", ())
        text = values[code - 1] if 0 < code <= len(values) else ""
        return text if any(letter.isalpha() for letter in text) else ""

    def _has_list(self, country: str) -> bool:
        return bool(country) and bool((self.artifacts.popularity.countries == country).any())

    def _did(self, grade: int, what: str) -> str:
        """What the user did with something, in the past tense: "bought this"."""
        objectives = self.artifacts.feature_set.objectives
        name = objectives[grade - 1] if 0 < grade <= len(objectives) else ""
        return self.artifacts.config.verbs.get(name, ANY_VERB).replace("{}", what)


@dataclass(frozen=True, slots=True)
class _Person:
    """One query's user within the batch."""

    query: Query
    users: UserColumns
    place: int
    last_row: int
