"""Measures the recommender and the baselines under every protocol of an evaluation.

The baselines are searched once, on the validation queries of the deciding protocol. The other protocols are reported
with the same settings, fitted on what their queries know.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from components.evaluation.baselines.method import Method
from components.evaluation.evaluate import EvaluationResult, evaluate
from components.evaluation.funnel import Answers, ask, ask_replayed, queries_of
from components.evaluation.protocols.log import MICROSECONDS
from components.evaluation.protocols.plan import Plan
from components.evaluation.protocols.plans import Plans
from components.evaluation.search import Absent, FittedBaseline, fit_baselines, refit_baselines
from components.evaluation.slices import countries_of
from components.replay.cutoff import Cutoff
from components.replay.renewal import RenewalPolicy
from components.replay.replay import Replay
from feature_repo.dataset.tables import PreparedTables
from inference.feature_store.historical import HistoricalFeatures
from inference.scorers.local import LocalScorer
from inference.scorers.protocol import Ranker


class Stopwatch:
    """Seconds of the parts of a piece of work."""

    def __init__(self) -> None:
        self._laps: dict[str, float] = {}
        self._started = self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Ends a part."""
        now = time.perf_counter()
        self._laps[name], self._last = now - self._last, now

    def seconds(self) -> dict[str, float]:
        """Name -> seconds of each part, and `total` up to now."""
        laps = {**self._laps, "total": time.perf_counter() - self._started}
        return {name: round(value, 2) for name, value in laps.items()}


@dataclass(frozen=True, slots=True)
class Measurement:
    """The result of every protocol.

    Attributes:
        baselines: Baselines of the deciding protocol, with their settings.
        results: A result for each of `Plans.all`, the deciding first.
        answers: The recommender's answers under the deciding protocol.
    """

    baselines: Mapping[str, FittedBaseline | Absent]
    results: tuple[EvaluationResult, ...]
    answers: Answers

    @property
    def fitted(self) -> dict[str, FittedBaseline]:
        """The baselines that apply."""
        return {name: one for name, one in self.baselines.items() if isinstance(one, FittedBaseline)}


def measure(
    tables: PreparedTables,
    cutoff: Cutoff,
    ranker: Ranker | None,
    plans: Plans,
    watch: Stopwatch,
    *,
    recipe: str = "fast",
    seed: int = 0,
) -> Measurement:
    """Measures every protocol, one after the other.

    Args:
        tables: Tables that the plans were read from.
        cutoff: Cutoff `test`.
        ranker: The ranker; None for the retrieval order.
        plans: The protocols.
        watch: Receives the seconds of the parts.
        recipe: fast or best, the extent of the search for the baselines.
        seed: Seed of the bootstrap.
    """
    deciding = plans.deciding
    baselines = fit_baselines(deciding.validation, deciding.validation_task, deciding.test, recipe=recipe)
    watch.lap("baselines")
    results, answers = [], []
    for plan in plans.all:
        part = "" if plan is deciding else f"{plan.protocol} "
        if plan is deciding:
            methods = {name: one if isinstance(one, Absent) else one.method for name, one in baselines.items()}
        else:
            methods = refit_baselines(baselines, plan.test)
            watch.lap(f"{part}baselines")
        answers.append(recommender_answers(tables, plan, cutoff, ranker))
        methods["retrieval"], methods["funnel"] = answers[-1].retrieval, answers[-1].final
        watch.lap(f"{part}recommender")
        results.append(_evaluate(tables, plan, methods, seed))
        watch.lap(f"{part}metrics")
    return Measurement(baselines, tuple(results), answers[0])


def _evaluate(
    tables: PreparedTables, plan: Plan, methods: Mapping[str, Method | Absent], seed: int
) -> EvaluationResult:
    setting = plan.setting
    return evaluate(
        plan.log,
        plan.tasks,
        methods,
        known=setting.log.before(setting.test_start),
        categories=setting.categories,
        countries=countries_of(tables, plan.log.user_ids),
        seed=seed,
    )


def recommender_answers(tables: PreparedTables, plan: Plan, cutoff: Cutoff, ranker: Ranker | None) -> Answers:
    """The recommender's answers for all users of the tasks, warm and cold."""
    tasks = plan.tasks
    scorer = None if ranker is None else LocalScorer(ranker, with_probabilities=False)
    asked = [tasks.test.users, tasks.cold_users.users]
    if tasks.new_items is not None:
        asked.append(tasks.new_items.users)
    users = np.unique(np.concatenate(asked))
    with HistoricalFeatures(cutoff.features_dir) as reader:
        if plan.requests is not None:
            cuts = plan.requests.cuts / MICROSECONDS
            replay = Replay.of(tables, cutoff, reader, cuts, RenewalPolicy(neighbours=True), scorer)
            return ask_replayed(replay, plan.log, users, [plan.requests.queries[user] for user in users])
        if plan.protocol == "leave-one-out":
            replay = Replay.of(tables, cutoff, reader, tables.split.cuts(), RenewalPolicy(), scorer)
            queries = queries_of(plan.log, tasks.test.users, tasks.test.times / MICROSECONDS)
            return ask_replayed(replay, plan.log, tasks.test.users, queries)
        start = tables.split.test_start
        replay = Replay(cutoff.artifacts(reader.items(start)), reader, np.array([start]), scorer)
        return ask(replay.recommender(start), plan.log, users, start)
