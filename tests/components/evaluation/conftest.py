"""One evaluation of a log with tastes, which the tests of its file and of its reports share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.evaluation.baselines.method import Training
from components.evaluation.evaluate import EvaluationResult, evaluate, write_evaluation
from components.evaluation.protocols.log import EventLog
from components.evaluation.protocols.protocol import make_tasks
from components.evaluation.search import Absent, Refits, fit_baselines
from tests.components.evaluation.logs import ABOUT, Taste, at, log


@pytest.fixture(scope="session")
def events() -> EventLog:
    world = Taste(num_users=250, num_items=150)
    late = [(250 + user, user % 150, 25.0, 1) for user in range(20)] + [(user, 150, 26.0, 1) for user in range(5)]
    return log(world.events + late)


@pytest.fixture(scope="session")
def result(events: EventLog) -> EvaluationResult:
    def training(day: float) -> Training:
        known = events.before(at(day)).positives
        return Training(known, known, at(day), repeats_some=True)

    tasks = make_tasks(events, at(21), at(28), "until-converted", 2)
    validation = make_tasks(events.before(at(21)), at(14), at(21), "until-converted", 2).test
    fitted = fit_baselines(training(14), validation, Refits((training(21),), None))
    methods = {name: one if isinstance(one, Absent) else one.method for name, one in fitted.items()}
    methods |= {"retrieval": methods["als"], "funnel": methods["itemknn"], "ease": Absent("too large")}
    categories = np.array(["abc"[row % 3] for row in range(151)], dtype=object)
    return evaluate(events, tasks, methods, known=events.before(at(21)), categories=categories)


@pytest.fixture(scope="session")
def written(result: EvaluationResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build")
    write_evaluation(out, result, ABOUT)
    return out
