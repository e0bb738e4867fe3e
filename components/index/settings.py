"""Settings of the tables of neighbours: fits the tables of a release, and chooses their settings on a trial."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from components.index.covisitation import CovisitationConfig, fit_neighbours
from components.index.regression import RegressionConfig, fit_regression
from components.index.transitions import TransitionsConfig, fit_transitions
from components.index.trial import Gains, Trial, surely_better
from components.replay.events import Events
from feature_repo.dataset.split import DAY
from inference.models.neighbours import Followers, Neighbours, Predictors
from inference.models.part import Part
from inference.sources.protocol import Source
from inference.sources.similar import SimilarSource
from inference.sources.transitions import TransitionsSource

SEARCH_ITEMS = 1_500  # most frequent items that a linear model knows while its settings are chosen
C = TypeVar("C", bound=BaseModel)


class TableSettings(BaseModel):
    """Settings of every table; the cutoff keeps them, so that a replay fits the same tables as of earlier times."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    covisitation: CovisitationConfig = CovisitationConfig()
    transitions: TransitionsConfig = TransitionsConfig()
    regression: RegressionConfig = RegressionConfig()

    def fit(self, kinds: Iterable[type[Part]], events: Events, num_items: int, as_of: float) -> list[Part]:
        """The tables among some kinds of parts, fitted on the events before a time.

        Args:
            kinds: Classes of parts; those that are not tables of neighbours are skipped.
            events: All positive events.
            num_items: Size m of the row map.
            as_of: Unix seconds; later events, and events at this time, are excluded.
        """
        fits: Mapping[type[Part], Callable[[], Part]] = {
            Neighbours: lambda: fit_neighbours(events, num_items, as_of, self.covisitation),
            Followers: lambda: fit_transitions(events, num_items, as_of, self.transitions),
            Predictors: lambda: fit_regression(events, num_items, as_of, self.regression),
        }
        return [fits[kind]() for kind in kinds if kind in fits]


def choose_settings(trial: Trial, events: Events) -> TableSettings:
    """The settings whose lists gain most on a trial; the defaults if no item was chosen.

    Args:
        trial: The queries of the validation span.
        events: All positive events.
    """
    if not len(trial.chosen):
        return TableSettings()
    num_items, as_of = trial.num_items, trial.as_of
    span = (as_of - float(events.times.min())) / DAY
    half_lives = (None, span / 3, span / 9, span / 27)

    def transitions(config: TransitionsConfig) -> Gains:
        return _gains(trial, TransitionsSource, fit_transitions(events, num_items, as_of, config))

    def regression(config: RegressionConfig) -> Gains:
        return _gains(trial, SimilarSource, fit_regression(events, num_items, as_of, config, SEARCH_ITEMS))

    fades, ridges = (0.5, 0.7, 0.9, 0.97), (30.0, 100.0, 300.0, 1000.0)
    return TableSettings(
        transitions=_climb(transitions, TransitionsConfig(), {"fade": fades, "half_life_days": half_lives}),
        regression=_climb(regression, RegressionConfig(), {"half_life_days": half_lives, "ridge": ridges}),
    )


def _gains(trial: Trial, source: type[Source], part: Part) -> Gains:
    return trial.gains(trial.ask(source, [part], source.quota))


def _climb(gains: Callable[[C], Gains], start: C, axes: Mapping[str, Sequence[Any]]) -> C:
    """Walks once along the axes and keeps the best value of each that is surely better than the one before."""
    best, before = start, gains(start)
    for field, choices in axes.items():
        tried = [(option, gains(option)) for option in _options(best, field, choices)]
        option, found = max(tried, key=lambda pair: float(pair[1].sum()))
        if surely_better(found - before):
            best, before = option, found
    return best


def _options(config: C, field: str, choices: Sequence[Any]) -> list[C]:
    """The settings with other values of a field."""
    return [config.model_copy(update={field: choice}) for choice in choices if choice != getattr(config, field)]
