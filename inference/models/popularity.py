"""Popularity: time-decayed event counts, overall and by country, stored as `popularity.npz`.

The lists are not personal; filters remove a user's own items later.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import ClassVar, Self
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from feature_repo.dataset.split import DAY
from feature_repo.errors import BundleError
from feature_repo.features.state import FloatArray, IntArray, TimeArray
from feature_repo.storage.files import atomic_write
from inference.models.part import Part

POPULARITY_FILE = "popularity.npz"
NUM_TOP = 1_000
DAMAGED = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, BadZipFile, zlib.error)
PRIOR_EVENTS = 100.0  # decayed events from which a country's counts outweigh the overall order


@dataclass(frozen=True)
class Popularity(Part):
    """Decayed popularity of m items.

    A country's list is ordered by the country's decayed share of events, shrunk towards the overall share. The overall
    share has the weight of `PRIOR_EVENTS` events, so items without events in the country follow in the overall order.

    Attributes:
        score: Decayed number of positive events [m], overall.
        top_rows: The best rows overall [t], t <= `NUM_TOP`, best first.
        top_scores: Share of all events of those rows [t].
        countries: Known countries [c], sorted text.
        country_rows: The best rows of each country [c, t], best first.
        country_scores: Shrunk share of events of those rows [c, t].
        half_life_days: Half-life of an event's weight, days.
        as_of: Time at which the decay starts, unix seconds.
    """

    score: FloatArray
    top_rows: IntArray
    top_scores: FloatArray
    countries: npt.NDArray[np.str_]
    country_rows: IntArray
    country_scores: FloatArray
    half_life_days: float
    as_of: float

    paths: ClassVar[tuple[str, ...]] = (POPULARITY_FILE,)

    @property
    def num_items(self) -> int:
        """Size of the row map."""
        return len(self.score)

    @classmethod
    def fit(
        cls,
        rows: IntArray,
        times: TimeArray,
        countries: npt.NDArray[np.object_],
        grades: npt.NDArray[np.int8],
        *,
        num_items: int,
        as_of: float,
        half_life_days: float,
    ) -> Popularity:
        """Counts positive events before `as_of`.

        Args:
            rows: Item rows of events [n].
            times: Unix seconds [n].
            countries: Country of the event, else of its user [n]; "" or None if unknown.
            grades: Objective grades [n]; only events above 0 count.
            num_items: Size m of the row map.
            as_of: Unix seconds; later events, and events at this time, are excluded.
            half_life_days: Half-life of the decay.
        """
        used = (grades > 0) & (times < as_of)
        rows, times, countries = rows[used], times[used], countries[used]
        weights = np.exp2((times - as_of) / (half_life_days * DAY))
        score = np.bincount(rows, weights=weights, minlength=num_items)
        top = min(NUM_TOP, num_items)
        top_rows = np.argsort(-score, kind="stable")[:top].astype(np.int32)
        names = np.array([country or "" for country in countries], dtype=np.str_)
        known, code = np.unique(names, return_inverse=True)
        share = score / max(score.sum(), 1e-12)
        kept = np.flatnonzero(known != "")
        country_rows = np.zeros((len(kept), top), dtype=np.int32)
        country_scores = np.zeros((len(kept), top), dtype=np.float32)
        order = np.argsort(code, kind="stable")
        bounds = np.searchsorted(code[order], np.arange(len(known) + 1))
        for place, index in enumerate(kept):
            mine = order[bounds[index] : bounds[index + 1]]
            counts = np.bincount(rows[mine], weights=weights[mine], minlength=num_items)
            shrunk = (counts + PRIOR_EVENTS * share) / (counts.sum() + PRIOR_EVENTS)
            best = np.argsort(-shrunk, kind="stable")[:top]
            country_rows[place], country_scores[place] = best, shrunk[best]
        return cls(
            score=score.astype(np.float32),
            top_rows=top_rows,
            top_scores=share[top_rows].astype(np.float32),
            countries=known[kept],
            country_rows=country_rows,
            country_scores=country_scores,
            half_life_days=half_life_days,
            as_of=as_of,
        )

    def top(self, country: str | None, k: int) -> tuple[IntArray, FloatArray]:
        """Returns the k most popular rows and their scores, best first; for `country` if it is known, else overall.

        Scores are shares of all events, so the lists of two countries are comparable. A list has at most `NUM_TOP`
        rows.
        """
        if country:
            place = int(np.searchsorted(self.countries, country))
            if place < len(self.countries) and self.countries[place] == country:
                return self.country_rows[place, :k], self.country_scores[place, :k]
        return self.top_rows[:k], self.top_scores[:k]

    def fits(self, num_items: int) -> bool:
        """Returns whether the lists are those of a row map of this size."""
        tables = ((self.top_rows, self.top_scores), (self.country_rows, self.country_scores))
        return (
            self.score.shape == (num_items,)
            and len(self.countries) == len(self.country_rows)
            and all(rows.shape == scores.shape for rows, scores in tables)
            and all(((rows >= 0) & (rows < num_items)).all() for rows, _ in tables)
        )

    def save(self, folder: Path) -> None:
        """Writes the content of `to_bytes`."""
        with atomic_write(folder / POPULARITY_FILE) as temporary:
            temporary.write_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Returns the arrays as npz without objects."""
        content = BytesIO()
        np.savez(
            content,
            score=self.score,
            top_rows=self.top_rows,
            top_scores=self.top_scores,
            countries=self.countries,
            country_rows=self.country_rows,
            country_scores=self.country_scores,
            half_life_days=self.half_life_days,
            as_of=self.as_of,
        )
        return content.getvalue()

    @classmethod
    def load(cls, folder: Path, num_threads: int = 1) -> Self:  # noqa: ARG003
        """Loads the popularity table from a folder.

        Raises:
            BundleError: The file is missing or damaged.
        """
        path = folder / POPULARITY_FILE
        try:
            return cls.of_bytes(path.read_bytes())
        except (OSError, ValueError) as error:
            raise BundleError(f"The popularity table {path} cannot be read: build the index again.") from error

    @classmethod
    def of_bytes(cls, content: bytes) -> Self:
        """Parses the result of `to_bytes`.

        Raises:
            ValueError: The content is damaged.
        """
        try:
            with np.load(BytesIO(content), allow_pickle=False) as arrays:
                return cls(
                    score=arrays["score"],
                    top_rows=arrays["top_rows"],
                    top_scores=arrays["top_scores"],
                    countries=arrays["countries"],
                    country_rows=arrays["country_rows"],
                    country_scores=arrays["country_scores"],
                    half_life_days=float(arrays["half_life_days"]),
                    as_of=float(arrays["as_of"]),
                )
        except DAMAGED as error:
            raise ValueError(f"not a popularity table: {error}") from error
