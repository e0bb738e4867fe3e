"""The films of the dense log: genres, series, fame, and the films that tend to follow each film.

A film has a hidden unit vector near its genres. Its successors lie along a rotation of this vector, so that "A, then B"
says nothing about "B, then A". Within a series the next part is the strongest successor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.marketplace.logs.dense.config import DenseConfig
from components.marketplace.logs.draws import best
from components.marketplace.logs.words import GENRES, NOUNS, QUALITIES
from components.marketplace.world.catalogue import Floats, Ints, unit
from components.marketplace.world.chance import FloatColumn, generator
from feature_repo.dataset.split import DAY

NUM_DIMENSIONS = 16
NUM_SUCCESSORS = 48
FAME_SPREAD = 2.0  # standard deviation of the logarithm of a film's popularity
SERIES_SHARE = 0.25  # of films that belong to a series
SERIES_LENGTHS = (2, 7)
YEARS = (1932, 2003)
PATH_TURN = 0.9  # radians between a film's vector and the direction of its successors
NEXT_PART = 6.0  # weight of the next part of a series; other successors weigh (rank + 1) ** -PULL_DECAY
PULL_DECAY = 0.5
NEW_SHARE = 0.1  # of films that appear during the log


@dataclass(frozen=True, slots=True)
class Films:
    """m films as columns.

    Attributes:
        titles: Text [m].
        genre, second_genre: Codes [m] into GENRES; the second may equal the first.
        year: Year of production [m].
        created_at: Unix seconds [m] from which the film can be taken.
        vectors: Unit vectors [m, NUM_DIMENSIONS].
        fame: Appeal to all users in logits [m].
        successors: Rows of films that tend to follow [m, NUM_SUCCESSORS].
        pull: Weight of each successor [m, NUM_SUCCESSORS].
        genre_vectors: Unit vectors [genres, NUM_DIMENSIONS].
    """

    titles: tuple[str, ...]
    genre: Ints
    second_genre: Ints
    year: Ints
    created_at: FloatColumn
    vectors: Floats
    fame: Floats
    successors: Ints
    pull: Floats
    genre_vectors: Floats

    def __len__(self) -> int:
        return len(self.titles)


def make_films(config: DenseConfig) -> Films:
    """The films of a configuration."""
    random = generator(config.seed, "catalogue")
    num, kinds = config.num_items, len(GENRES)
    genre_vectors = unit(random.standard_normal((kinds, NUM_DIMENSIONS)))
    share = 1.0 / (np.arange(kinds) + 2.0)
    series, part = _series(random, num)
    num_series = int(series.max()) + 1
    # Parts of a series share genres, and their vectors, fame and years are close.
    genre = random.choice(kinds, size=num_series, p=share / share.sum())[series]
    second_genre = random.choice(kinds, size=num_series, p=share / share.sum())[series]
    second_genre = np.where(random.random(num_series)[series] < 0.45, genre, second_genre)
    own = random.standard_normal((num_series, NUM_DIMENSIONS))[series]
    noise = random.standard_normal((num, NUM_DIMENSIONS))
    vectors = unit(genre_vectors[genre] + 0.5 * genre_vectors[second_genre] + 0.2 * own + 0.08 * noise)
    fame = (
        FAME_SPREAD * (0.85 * random.standard_normal(num_series)[series] + 0.5 * random.standard_normal(num))
        - 0.15 * part
    )
    age = np.rint(random.exponential(16.0, size=num_series))[series]
    year = np.clip(YEARS[1] - age + 2 * part, *YEARS).astype(np.int64)
    created_at = config.log_start - np.ceil(random.exponential(400.0, size=num)) * DAY
    new = (random.random(num) < NEW_SHARE) & (year >= np.quantile(year, 0.7))
    created_at[new] = config.log_start + np.floor(random.uniform(0, 0.8 * config.num_seconds, size=int(new.sum())))
    successors, pull = _successors(random, vectors, fame, year, (series, part))
    return Films(
        titles=_titles(random, genre, series, part, year),
        genre=genre,
        second_genre=second_genre,
        year=year,
        created_at=created_at,
        vectors=vectors.astype(np.float32),
        fame=fame.astype(np.float32),
        successors=successors,
        pull=pull.astype(np.float32),
        genre_vectors=genre_vectors.astype(np.float32),
    )


def _series(random: np.random.Generator, num: int) -> tuple[Ints, Ints]:
    """Series of each film [num] and its part, counted from 0; a single film is a series of one part."""
    lengths: list[int] = []
    left = num
    while left:
        long = random.random() < SERIES_SHARE / float(np.mean(SERIES_LENGTHS)) / (1 - SERIES_SHARE * 0.75)
        lengths.append(min(left, int(random.integers(SERIES_LENGTHS[0], SERIES_LENGTHS[1] + 1)) if long else 1))
        left -= lengths[-1]
    series = np.repeat(np.arange(len(lengths)), lengths)
    part = np.concatenate([np.arange(length) for length in lengths])
    order = random.permutation(num)  # so that the number of a film says nothing about its series
    return series[order], part[order]


def _successors(
    random: np.random.Generator, vectors: Floats, fame: Floats, year: Ints, parts: tuple[Ints, Ints]
) -> tuple[Ints, Floats]:
    """Successors of each film [m, NUM_SUCCESSORS] and their weights; the next part of a series comes first."""
    series, part = parts
    num = len(vectors)
    skew = random.standard_normal((NUM_DIMENSIONS, NUM_DIMENSIONS))
    plane = np.linalg.qr(skew)[0]
    turned = vectors @ plane
    # The direction has a fixed angle to the vector: its part orthogonal to the vector, scaled.
    side = unit(turned - (turned * vectors).sum(axis=1, keepdims=True) * vectors)
    ahead = np.cos(PATH_TURN) * vectors + np.sin(PATH_TURN) * side
    score = 6.0 * ahead @ vectors.T + 0.5 * fame[None, :] - np.abs(year[:, None] - year[None, :]) / 8.0
    score += random.gumbel(size=(num, num))
    np.fill_diagonal(score, -np.inf)
    sequel = (series[:, None] == series[None, :]) & (part[None, :] == part[:, None] + 1)
    score[sequel] = score[sequel] + 1_000.0
    chosen = best(score, NUM_SUCCESSORS)
    pull = np.tile((1.0 + np.arange(chosen.shape[1])) ** -PULL_DECAY, (num, 1))
    pull[sequel.any(axis=1), 0] = NEXT_PART
    return chosen, pull


def _titles(random: np.random.Generator, genre: Ints, series: Ints, part: Ints, year: Ints) -> tuple[str, ...]:
    """Titles of a quality, a noun of the genre, the part of a series, and the year."""
    num = int(series.max()) + 1
    quality = random.integers(0, len(QUALITIES), size=num)
    noun = random.integers(0, len(NOUNS[GENRES[0]]), size=num)
    parts = np.bincount(series)
    return tuple(
        f"{QUALITIES[quality[row]]} {NOUNS[GENRES[kind]][noun[row]]}"
        f"{f' {number + 1}' if parts[row] > 1 else ''} ({made})"
        for kind, row, number, made in zip(genre, series, part, year, strict=True)
    )
