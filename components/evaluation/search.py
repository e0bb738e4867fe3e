"""A fair small search: every baseline is given its best settings on validation, then fitted again for the test.

Axes are walked in order, each keeping the best value found so far (coordinate search), judged by NDCG@20; once in the
recipe `fast`, until nothing improves in `best`. The recommender is tuned on the same span, so nobody sees the test span
first.
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
JUDGED_AT = 20
SEARCH_ITEMS = 2_000
ROUNDS = {"fast": 1, "best": 5}


@dataclass(frozen=True, slots=True)
class FittedBaseline:
    """A baseline ready to rank at the test start.

    Attributes:
        method: Ranks.
        config: The settings chosen.
        validation: Their NDCG@20 on validation, None without validation queries.
        tried: How many settings were tried.
        seconds: Of search and fit.
    """

    method: Method
    config: Config
    validation: float | None
    tried: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Absent:
    """A method that does not apply, and why."""

    reason: str


def choose(family: Family[C], task: Task, rounds: int = 1) -> tuple[C, float | None, int]:
    """Search the family's axes on a task.

    Args:
        family: What is searched.
        task: Queries that judge.
        rounds: Walks along all axes at most; the search ends with one that changes nothing.

    Returns:
        The best settings, their NDCG@20 (None where the task asks nobody), and how many were tried.
    """
    if not len(task):
        return family.start, None, 0
    scores: dict[C, float] = {}

    def score(config: C) -> float:
        if config not in scores:
            rows = family.fit(config).lists(task.users, task.excluded, JUDGED_AT)
            scores[config] = float(ndcg(hits(rows, task.relevant), task.relevant.counts, JUDGED_AT).mean())
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
    """Search every baseline on validation and fit it for the test.

    Args:
        validation: What may be known at the validation start.
        validation_task: Queries of the validation span.
        test: What may be known at the test start.
        families: Kinds of baseline; `popular` first, its half-life then fills everyone's short lists.
        recipe: fast or best.

    Returns:
        Name -> fitted baseline, or why it is absent.
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
        say(f"baseline {kind.name}: {config} of {tried} tried, {seconds:.1f} s")
        if isinstance(config, PopularConfig):
            validation = replace(validation, popular_half_life=config.half_life_days)
            test = replace(test, popular_half_life=config.half_life_days)
    return out
