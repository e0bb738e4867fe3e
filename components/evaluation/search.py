"""Searches the settings of every baseline on the validation span, then fits the best settings for the test.

A coordinate search by NDCG@20: it walks the axes in order and keeps the best value of each. An axis is searched from
coarse to fine: every third value, then the neighbours of the best value while they improve. A new value has to be
better by more than half a standard error of the paired difference. Otherwise a wide search follows noise on logs with
few relevant items per user. The recipe `fast` walks twice, because settings depend on each other, and asks a sample of
the queries of a large log; `best` asks all queries and walks until no value improves. The recommender is tuned on the
same span, so the test span is unseen by all methods.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from components.evaluation.baselines.als import Als
from components.evaluation.baselines.ease import Ease
from components.evaluation.baselines.itemknn import ItemKnn
from components.evaluation.baselines.markov import Markov
from components.evaluation.baselines.method import C, Config, Family, Method, Refitted, Training
from components.evaluation.baselines.own import Own
from components.evaluation.baselines.popular import Popular, PopularConfig
from components.evaluation.metrics import hits, ndcg
from components.evaluation.protocols.protocol import Task
from components.evaluation.scores import NDCG_CUTOFF
from feature_repo.progress import say

FAMILIES: tuple[type[Family[Any]], ...] = (Popular, Own, Markov, ItemKnn, Ease, Als)
SEARCH_ITEMS = 2_000
SIDE_BY_SIDE = 2  # kinds of baseline that are searched at the same time
ROUNDS = {"fast": 2, "best": 5}
QUERIES = {"fast": 3_000, "best": None}  # most validation queries that score a setting
NOISE = 0.5  # standard errors of the difference that a new value has to be better by
COARSE = 3  # distance of the values of an axis that are tried first


@dataclass(frozen=True, slots=True)
class Refits:
    """The data of a baseline that is fitted again in the course of a span.

    Attributes:
        trainings: Data of each fit, in order of time, at least one.
        place: The fit that answers each user [u]; None if there is one fit.
    """

    trainings: tuple[Training, ...]
    place: npt.NDArray[np.int64] | None

    def fit(self, kind: type[Family[C]], config: C) -> Method:
        """Fits the same settings on the data of each fit."""
        methods = [kind(training).fit(config) for training in self.trainings]
        return methods[0] if self.place is None else Refitted(methods, self.place)

    def completed_by(self, half_life_days: float | None) -> Refits:
        """The same data; popularity with this half-life completes short lists."""
        return Refits(
            tuple(replace(training, popular_half_life=half_life_days) for training in self.trainings), self.place
        )


@dataclass(frozen=True, slots=True)
class FittedBaseline:
    """A baseline ready to rank at the test start.

    Attributes:
        method: The fitted method.
        config: The chosen settings.
        validation: NDCG@20 of these settings on validation, None without validation queries.
        tried: Number of settings tried.
        seconds: Duration of search and fit, while other kinds use the other cores.
    """

    method: Method
    config: Config
    validation: float | None
    tried: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Absent:
    """A method that does not apply, with the reason."""

    reason: str


def choose(family: Family[C], task: Task, rounds: int = 1) -> tuple[C, float | None, int]:
    """Searches the family's axes on a task.

    Args:
        family: The kind of baseline.
        task: Queries that score the settings.
        rounds: Maximum number of walks along all axes; the search ends after a walk without a change.

    Returns:
        The best settings, their NDCG@20 (None without queries), and the number of settings tried.
    """
    if not len(task):
        return family.start, None, 0
    values_of: dict[C, npt.NDArray[np.float64]] = {}

    def values(config: C) -> npt.NDArray[np.float64]:
        if config not in values_of:
            rows = family.fit(config).lists(task.users, task.excluded, NDCG_CUTOFF)
            values_of[config] = ndcg(hits(rows, task.relevant), task.relevant.counts, NDCG_CUTOFF)
        return values_of[config]

    def score(config: C) -> float:
        return float(values(config).mean())

    best = family.start
    for _ in range(rounds):
        before = best
        for field, choices in family.axes().items():
            options = [best.model_copy(update={field: choice}) for choice in choices]
            option = _climb(options, score)
            gain = values(option) - values(best)
            if gain.mean() > NOISE * gain.std() / np.sqrt(len(gain)):
                best = option
        if best == before:
            break
    return best, score(best), len(values_of)


def _climb(options: Sequence[C], score: Callable[[C], float]) -> C:
    """The best of the settings along an axis, from coarse to fine."""
    last = len(options) - 1
    places = {*range(0, last, COARSE), last}
    while True:
        best: int = max(sorted(places), key=lambda place: score(options[place]))
        places = {max(best - 1, 0), best, min(best + 1, last)}
        if max(score(options[place]) for place in places) <= score(options[best]):
            return options[best]


def fit_baselines(
    validation: Training,
    validation_task: Task,
    test: Refits,
    families: tuple[type[Family[Any]], ...] = FAMILIES,
    *,
    recipe: str = "fast",
) -> dict[str, FittedBaseline | Absent]:
    """Searches every baseline on validation and fits it for the test.

    Args:
        validation: Data known at the validation start.
        validation_task: Queries of the validation span.
        test: Data known at the test start, or at each refit in the test span.
        families: Kinds of baseline, at least one; `popular` first, because its half-life orders the items that complete
            short lists. The others are searched side by side.
        recipe: fast or best.

    Returns:
        Name -> fitted baseline, or the reason why it is absent.
    """
    most = QUERIES[recipe]
    if most is not None and len(validation_task) > most:
        validation_task = validation_task.take(np.linspace(0, len(validation_task) - 1, most).astype(np.int64))
    out: dict[str, FittedBaseline | Absent] = {}
    first, *others = families
    out[first.name] = found = _fit_baseline(first, validation, validation_task, test, ROUNDS[recipe])
    if isinstance(found, FittedBaseline) and isinstance(found.config, PopularConfig):
        validation = replace(validation, popular_half_life=found.config.half_life_days)
        test = test.completed_by(found.config.half_life_days)
    # The libraries release the interpreter lock. The limit is set here, because it holds for the whole process.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        fits = [pool.submit(_fit_baseline, kind, validation, validation_task, test, ROUNDS[recipe]) for kind in others]
        out |= {kind.name: fit.result() for kind, fit in zip(others, fits, strict=True)}
    return out


def _fit_baseline(
    kind: type[Family[Any]], validation: Training, task: Task, test: Refits, rounds: int
) -> FittedBaseline | Absent:
    """Searches a baseline on the validation task and fits it for the test."""
    started = time.perf_counter()
    known = any(len(training.history) for training in test.trainings)
    reason = kind(test.trainings[0]).absent() or (None if known else "no positive event before the test start")
    if reason:
        say(f"baseline {kind.name}: absent, {reason}")
        return Absent(reason)
    config, score, tried = choose(kind(replace(validation, most_items=SEARCH_ITEMS)), task, rounds)
    method = test.fit(kind, config)
    seconds = time.perf_counter() - started
    say(f"baseline {kind.name}: {config}, best of {tried} settings, {seconds:.1f} s")
    return FittedBaseline(method, config, score, tried, seconds)


def refit_baselines(chosen: Mapping[str, FittedBaseline | Absent], test: Refits) -> dict[str, Method | Absent]:
    """Fits baselines with the settings that were chosen for another protocol of the same log.

    A second search would take as long as the first. On a simulated shop the settings of rolling cost the best temporal
    baseline nothing, EASE a tenth of its NDCG@20 and ALS 7 %, so only reported figures may reuse settings.

    Args:
        chosen: Baselines of the other protocol.
        test: Data known at the test start, or at each refit in the test span.

    Returns:
        Name -> fitted method, or the reason why it is absent.
    """
    out: dict[str, Method | Absent] = {}
    for kind in FAMILIES:
        baseline = chosen[kind.name]
        if isinstance(baseline, Absent):
            out[kind.name] = baseline
            continue
        out[kind.name] = test.fit(kind, baseline.config)
        if isinstance(baseline.config, PopularConfig):
            test = test.completed_by(baseline.config.half_life_days)
    return out
