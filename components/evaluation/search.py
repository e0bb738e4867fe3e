"""Searches the settings of every baseline on the validation span, then fits the best settings for the test.

A coordinate search by NDCG@20: it walks the axes in order and keeps the best value of each. The recipe `fast` walks
once, `best` until no value improves. The recommender is tuned on the same span, so the test span is unseen by all
methods.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from components.evaluation.baselines.als import Als
from components.evaluation.baselines.ease import Ease
from components.evaluation.baselines.itemknn import ItemKnn
from components.evaluation.baselines.method import C, Config, Family, Method, Training
from components.evaluation.baselines.own import Own
from components.evaluation.baselines.popular import Popular, PopularConfig
from components.evaluation.metrics import hits, ndcg
from components.evaluation.protocols.protocol import Task
from feature_repo.progress import say

FAMILIES: tuple[type[Family[Any]], ...] = (Popular, Own, ItemKnn, Ease, Als)
NDCG_CUTOFF = 20
SEARCH_ITEMS = 2_000
ROUNDS = {"fast": 1, "best": 5}


@dataclass(frozen=True, slots=True)
class FittedBaseline:
    """A baseline ready to rank at the test start.

    Attributes:
        method: The fitted method.
        config: The chosen settings.
        validation: NDCG@20 of these settings on validation, None without validation queries.
        tried: Number of settings tried.
        seconds: Duration of search and fit.
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
    scores: dict[C, float] = {}

    def score(config: C) -> float:
        if config not in scores:
            rows = family.fit(config).lists(task.users, task.excluded, NDCG_CUTOFF)
            scores[config] = float(ndcg(hits(rows, task.relevant), task.relevant.counts, NDCG_CUTOFF).mean())
        return scores[config]

    best = family.start
    for _ in range(rounds):
        before = best
        for field, values in family.axes().items():
            options = [best.model_copy(update={field: value}) for value in values]
            best = options[int(np.argmax([score(option) for option in options]))]
        if best == before:
            break
    return best, score(best), len(scores)


def fit_baselines(
    validation: Training,
    validation_task: Task,
    test: Training,
    families: tuple[type[Family[Any]], ...] = FAMILIES,
    *,
    recipe: str = "fast",
) -> dict[str, FittedBaseline | Absent]:
    """Searches every baseline on validation and fits it for the test.

    Args:
        validation: Data known at the validation start.
        validation_task: Queries of the validation span.
        test: Data known at the test start.
        families: Kinds of baseline; `popular` first, because its half-life orders the items that complete short lists.
        recipe: fast or best.

    Returns:
        Name -> fitted baseline, or the reason why it is absent.
    """
    out: dict[str, FittedBaseline | Absent] = {}
    for kind in families:
        started = time.perf_counter()
        final = kind(test)
        reason = final.absent() or ("no positive event before the test start" if not len(test.history) else None)
        if reason:
            out[kind.name] = Absent(reason)
            say(f"baseline {kind.name}: absent, {reason}")
            continue
        config, score, tried = choose(
            kind(replace(validation, most_items=SEARCH_ITEMS)), validation_task, ROUNDS[recipe]
        )
        method = final.fit(config)
        seconds = time.perf_counter() - started
        out[kind.name] = FittedBaseline(method, config, score, tried, seconds)
        say(f"baseline {kind.name}: {config}, best of {tried} settings, {seconds:.1f} s")
        if isinstance(config, PopularConfig):
            validation = replace(validation, popular_half_life=config.half_life_days)
            test = replace(test, popular_half_life=config.half_life_days)
    return out
