"""PSI by hand, and as the test that Evidently calls."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from evidently import DataDefinition, Dataset, Report
from evidently.legacy.core import ColumnType
from evidently.metrics import ValueDrift

from monitoring.drift.evidence import evidently_psi
from monitoring.drift.psi import LEAST_SHARE, decile_psi, psi, register
from monitoring.drift.report import severity_of


def test_two_bins_by_hand() -> None:
    # (0.8 - 0.5) ln 1.6 + (0.2 - 0.5) ln 0.4
    assert psi([50, 50], [80, 20]) == pytest.approx(0.3 * 0.470004 + 0.3 * 0.916291, abs=1e-6)
    assert psi([5, 5], [800, 200]) == pytest.approx(0.415888, abs=1e-6)  # of shares, whatever their number


def test_the_same_distribution_has_none() -> None:
    assert psi([1, 2, 3], [100, 200, 300]) == 0


def test_an_empty_bin_counts_as_a_thousandth_on_either_side() -> None:
    # (1 - 0.9) ln(1 / 0.9) + (0.001 - 0.1) ln(0.001 / 0.1)
    by_hand = 0.1 * 0.105361 + 0.099 * 4.605170
    assert psi([90, 10], [50, 0]) == pytest.approx(by_hand, abs=1e-6)
    assert psi([50, 0], [90, 10]) == pytest.approx(by_hand, abs=1e-6)
    assert LEAST_SHARE == 0.001


@pytest.mark.parametrize(("share", "expected", "severity"), [(0.03, 0.10, "none"), (0.06, 0.245, "significant")])
def test_newly_missing_values_of_ten_deciles(share: float, expected: float, severity: str) -> None:
    """What the documentation says of an empty bin that fills."""
    after = [1000 * (1 - share)] * 10 + [10_000 * share]
    assert psi([100] * 10 + [0], after) == pytest.approx(expected, abs=0.002)
    assert severity_of(psi([100] * 10 + [0], after), 10_000) == severity


def test_a_bin_empty_on_both_sides_is_left_out() -> None:
    assert psi([50, 0, 50], [80, 0, 20]) == psi([50, 50], [80, 20])


@pytest.mark.parametrize(
    ("spread", "factor", "expected"),
    [(1.0, 2.0, 0.46), (0.5, 1.3, 0.26), (1.0, 1.3, 0.07)],  # facts of lognormal prices
)
def test_dearer_prices(spread: float, factor: float, expected: float) -> None:
    """The deciles of a lognormal: shares move by a shift of ln(factor) / spread of a normal."""
    prices = np.random.default_rng(0).lognormal(3, spread, 40_000)
    score, drifted = decile_psi(
        pd.Series(prices[:20_000]), pd.Series(prices[20_000:] * factor), ColumnType.Numerical, 0.2
    )
    assert score == pytest.approx(_of_a_shift(math.log(factor) / spread), abs=0.02)
    assert score == pytest.approx(expected, abs=0.03)
    assert drifted == (expected > 0.2)


def _of_a_shift(shift: float) -> float:
    """PSI of a normal's deciles after a shift, in its standard deviations."""
    normal = NormalDist()
    edges = [-math.inf, *(normal.inv_cdf(tenth / 10) for tenth in range(1, 10)), math.inf]
    below = [0.0, *(normal.cdf(edge - shift) for edge in edges[1:-1]), 1.0]
    shares = np.diff(below)
    return float(np.sum((shares - 0.1) * np.log(shares / 0.1)))


def test_evidently_calls_it_and_its_own_hardly_sees_the_price() -> None:
    prices = np.random.default_rng(0).lognormal(3, 1.0, 10_000)
    reference = pd.DataFrame({"price": prices[:5_000], "shop": ["a", "b"] * 2_500})
    current = pd.DataFrame({"price": prices[5_000:] * 2, "shop": ["a", "a", "a", "new"] * 1_250})
    columns = DataDefinition(numerical_columns=["price"], categorical_columns=["shop"])
    name = register()
    assert register() == name  # again does no harm
    drifts = [ValueDrift(column="price", method=name), ValueDrift(column="shop", method=name)]
    ours = Report([*drifts, ValueDrift(column="price", method="psi")]).run(
        Dataset.from_pandas(current, data_definition=columns), Dataset.from_pandas(reference, data_definition=columns)
    )
    price, shop, theirs = (float(metric["value"]) for metric in ours.dict()["metrics"])
    assert price == pytest.approx(decile_psi(reference["price"], current["price"], ColumnType.Numerical, 0.2)[0])
    assert shop == pytest.approx(psi([2_500, 2_500, 0], [3_750, 0, 1_250]))
    assert theirs < 0.6 * price


def test_evidently_gives_the_figures_of_counted_bins() -> None:
    counted = {
        "one": (np.array([10, 20, 30, 0]), np.array([5, 5, 5, 5])),
        "two": (np.array([60, 0]), np.array([0, 20])),
        "of another length": (np.array([4, 4]), np.array([1, 2])),
    }
    figures = evidently_psi(counted)
    assert figures == {name: pytest.approx(psi(*counts)) for name, counts in counted.items()}


def test_chance_alone_hardly_reaches_a_twentieth_with_enough_units() -> None:
    rng = np.random.default_rng(3)
    scores = [psi([1_000] * 10, rng.multinomial(500, [0.1] * 10)) for _ in range(500)]
    assert np.mean(scores) == pytest.approx(9 * (1 / 500 + 1 / 10_000), rel=0.2)
    assert np.mean(np.array(scores) > 0.05) < 0.02


@pytest.mark.parametrize(
    ("figure", "units", "severity"),
    [
        (0.0999, 500, "none"),
        (0.1, 500, "moderate"),
        (0.1999, 500, "moderate"),
        (0.2, 500, "significant"),
        (9.0, 499, "insufficient"),
        (None, 10_000, "insufficient"),
    ],
)
def test_severities(figure: float | None, units: int, severity: str) -> None:
    assert severity_of(figure, units) == severity
