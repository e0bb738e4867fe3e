"""Searches the parameters of the trees within a time budget, as the recipe `best` does.

An Optuna study (Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019) with a
seeded TPE sampler maximises the NDCG of the judged queries, each ordered by as many trees as the other half of the
users chooses (`stopping.py`). Trials below the median of the earlier ones at the same progress are pruned. The first
trial is the recipe's own parameters; others replace them only if they are better by more than noise. `journal.py` keeps
the trials, so that a killed training continues with them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from components.ranking.judging import JudgedQueries
from components.ranking.order.choice import paired
from components.ranking.rows import RankingRows
from components.ranking.trees.boosting import RankerConfig, boost
from components.ranking.trees.journal import StudyJournal
from components.ranking.trees.stopping import METRIC, HalfArray
from feature_repo.features.feature_set import FeatureSet
from feature_repo.progress import say

ERRORS = 2.0  # lead of other parameters in standard errors: the best of many trials is one or two better by chance
UNPRUNED_TRIALS = 5  # complete trials before the first is pruned
SHRUNK = 0.5  # sum of learning rates between two reports of a trial, so that slow and fast trials are comparable
NUM_FREE_REPORTS = 4  # reports of a trial before it may be pruned
_VALUES = "values"


def search(
    train: RankingRows,
    judged: JudgedQueries,
    halves: HalfArray | None,
    feature_set: FeatureSet,
    config: RankerConfig,
    journal: StudyJournal,
) -> RankerConfig:
    """The best parameters that a study finds within `config.study_seconds` and `config.study_trials`.

    Args:
        train: Learnable rows.
        judged: All candidates of later queries.
        halves: Half of each query [g]; None if the queries are not split.
        feature_set: Names and categorical columns of the features.
        config: The recipe's parameters.
        journal: Keeps the trials of a killed training.

    Returns:
        The configuration with the chosen parameters. A time budget makes the number of trials depend on the machine;
        trials are equal for equal rows, settings and seed, as long as nothing interrupts the study.

    Raises:
        StorageError: The kept trials cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with journal.opened(_key(train, judged, feature_set, config)) as storage:
        study = optuna.create_study(storage=storage, study_name="trees", direction="maximize", load_if_exists=True)
        kept = _resume(study)
        study.sampler = optuna.samplers.TPESampler(seed=config.seed + kept)
        study.pruner = optuna.pruners.MedianPruner(UNPRUNED_TRIALS, n_warmup_steps=NUM_FREE_REPORTS)
        if not _complete(study):
            study.enqueue_trial({name: getattr(config, name) for name in _suggested()})
        budget = config.study_seconds - _seconds(study)
        end = time.monotonic() + budget

        def objective(trial: Trial) -> float:
            tried = config.model_copy(update={name: draw(trial) for name, draw in _suggested().items()})
            trees = boost(train, judged, halves, feature_set, tried, watch=_pruning(trial, tried.learning_rate, end))
            values = judged.ndcg(trees.crosswise(judged, halves))
            trial.set_user_attr(_VALUES, values.tolist())
            return float(values.mean())

        def report(study: optuna.Study, _: FrozenTrial) -> None:
            journal.save()
            left = max(end - time.monotonic(), 0.0)
            num_pruned = len(study.get_trials(deepcopy=False, states=(TrialState.PRUNED,)))
            say(
                f"ranker: study, {len(study.trials)} trials, {num_pruned} of them pruned, best {METRIC} "
                f"{study.best_value:.4f}, about {left:.0f} s left"
            )

        if budget > 0 and kept < config.study_trials:
            study.optimize(objective, n_trials=config.study_trials - kept, timeout=budget, callbacks=[report])
        return _chosen(study, judged, config)


def _suggested() -> dict[str, Callable[[Trial], Any]]:
    """Parameter of `RankerConfig` -> its draw in a trial.

    Every range holds the recipe's value. Smaller steps need more trees than serving has time for.
    """
    return {
        "num_leaves": lambda trial: trial.suggest_int("num_leaves", 4, 32, log=True),
        "learning_rate": lambda trial: trial.suggest_float("learning_rate", 0.02, 0.15, log=True),
        "min_rows_in_leaf": lambda trial: trial.suggest_int("min_rows_in_leaf", 20, 500, log=True),
        "feature_fraction": lambda trial: trial.suggest_float("feature_fraction", 0.2, 1.0),
        "lambda_l2": lambda trial: trial.suggest_float("lambda_l2", 0.1, 50.0, log=True),
        "truncation": lambda trial: trial.suggest_int("truncation", 10, 60),
        "category_smoothing": lambda trial: trial.suggest_float("category_smoothing", 10.0, 2_000.0, log=True),
    }


def _pruning(trial: Trial, learning_rate: float, end: float) -> Callable[[lgb.callback.CallbackEnv], None]:
    """A LightGBM callback that ends a trial below the median, or after the end of the study if another is complete."""
    best, reported = 0.0, 0

    def callback(env: lgb.callback.CallbackEnv) -> None:
        nonlocal best, reported
        assert env.evaluation_result_list is not None
        best = max(best, float(env.evaluation_result_list[0][2]))
        progress = int((env.iteration + 1) * learning_rate / SHRUNK)
        if progress > reported:
            reported = progress
            trial.report(best, progress)
            if trial.should_prune():
                raise optuna.TrialPruned
        if time.monotonic() > end and _complete(trial.study):
            raise optuna.TrialPruned

    return callback


def _resume(study: optuna.Study) -> int:
    """Number of trials of the journal; a trial that was running when the training was killed has failed."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    if study.trials:
        say(f"ranker: study, continues after {len(study.trials)} trials of a training that was interrupted")
    return len(study.trials)


def _complete(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _seconds(study: optuna.Study) -> float:
    """Time that the kept trials took."""
    durations = [trial.duration for trial in study.get_trials(deepcopy=False) if trial.duration is not None]
    return sum(duration.total_seconds() for duration in durations)


def _chosen(study: optuna.Study, judged: JudgedQueries, config: RankerConfig) -> RankerConfig:
    """The best trial's parameters if they are better than the recipe's by more than noise, else the recipe's."""
    first, best = _complete(study)[0], study.best_trial
    differences = np.array(best.user_attrs[_VALUES]) - np.array(first.user_attrs[_VALUES])
    lead, error = paired(differences, judged.user_ids)
    taken = best.number != first.number and lead > ERRORS * error
    drawn = ", ".join(f"{name} {value:.4g}" for name, value in best.params.items())
    verdict = drawn if taken else "the recipe's parameters stay"
    say(f"ranker: study, lead of the best trial {lead:.4f}, standard error {error:.4f}: {verdict}")
    return config.model_copy(update=best.params) if taken else config


def _key(train: RankingRows, judged: JudgedQueries, feature_set: FeatureSet, config: RankerConfig) -> str:
    """Hash of all that the trials depend on."""
    digest = hashlib.sha256(f"{feature_set.hash} {config.model_dump_json()} {lgb.__version__}".encode())
    for column in (train.features, train.grades, train.positions, judged.features, judged.relevant, judged.offsets):
        digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest()
