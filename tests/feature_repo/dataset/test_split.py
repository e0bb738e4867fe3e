"""The time axis: boundaries lie on cuts, and bad times do not move its ends."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feature_repo.dataset.config import DatasetConfig
from feature_repo.dataset.split import DAY, HOUR, Split, clean_span, make_split

END = 1_700_000_000.123457


def config(**split: int) -> DatasetConfig:
    return DatasetConfig.model_validate({"name": "a", "objectives": {"click": ["view"]}, "split": split})


def days_back(split: Split) -> list[float]:
    boundaries = (split.rank_start, split.validation_start, split.test_start)
    return [round((split.log_end - boundary) / DAY, 6) for boundary in boundaries]


@pytest.mark.parametrize(
    ("declared", "span_days", "expected"),
    [
        ({}, 100.0, [39.0, 14.0, 7.0]),
        ({}, 373.2, [42.0, 14.0, 7.0]),
        ({}, 30.5, [17.0, 12.0, 6.0]),
        ({}, 14.0, [7.0, 4.0, 2.0]),
        ({}, 5.0, [3.0, 2.0, 1.0]),
        ({"validation_days": 2, "test_days": 2}, 14.03, [7.0, 4.0, 2.0]),
        ({"validation_days": 14, "test_days": 14}, 373.2, [84.0, 28.0, 14.0]),
        ({"test_days": 20}, 60.0, [36.0, 27.0, 20.0]),
        ({"validation_days": 14, "test_days": 14}, 20.0, [11.0, 8.0, 4.0]),
        ({"validation_days": 1, "test_days": 1}, 4.0, [2.5, 2.0, 1.0]),
    ],
)
def test_days_are_kept_where_they_fit_and_scaled_down_where_not(
    declared: dict[str, int], span_days: float, expected: list[float]
) -> None:
    assert days_back(make_split(config(**declared), END - span_days * DAY, END)) == expected


@example(span=1.41796875, days={})
@given(span=st.floats(1e-3, 4000 * DAY), days=st.sampled_from([{}, {"test_days": 1}, {"validation_days": 30}]))
def test_boundaries_are_in_order_and_lie_on_cuts(span: float, days: dict[str, int]) -> None:
    split = make_split(config(**days), END - span, END)
    cuts = split.cuts()
    boundaries = [split.rank_start, split.validation_start, split.test_start]
    assert split.log_start < split.validation_start < split.test_start < split.log_end
    assert split.log_start <= split.rank_start < split.validation_start
    assert all(np.isin([at for at in boundaries if at > split.log_start], cuts))
    assert cuts[-1] == split.log_end
    assert cuts[0] > split.log_start
    assert (np.diff(cuts) > 0).all()
    assert Split.model_validate(split.model_dump()) == split


def test_the_last_cut_is_known_a_microsecond_after_the_log(tmp_path: object) -> None:
    split = make_split(config(), END - 30 * DAY, END)
    assert split.stamp(split.log_end) == pytest.approx(END + 1e-6, abs=5e-7)
    assert split.stamp(split.log_end) > END
    assert split.stamp(split.test_start) == split.test_start


def test_a_log_of_one_moment_is_all_training() -> None:
    split = make_split(config(), END, END)
    assert split.rank_start == split.validation_start == split.test_start > END
    assert list(split.cuts()) == [END]


def test_boundaries_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="not in order"):
        Split(log_start=5, rank_start=4, validation_start=6, test_start=7, log_end=8)


def test_a_row_dated_2099_is_outlying_however_few_there_are() -> None:
    assert clean_span(np.array([END - DAY, END, 4_070_908_800.0]), now=END) == (END - DAY, END)
    assert clean_span(np.array([END + 0.9 * DAY]), now=END) == (END + 0.9 * DAY, END + 0.9 * DAY)


def test_a_time_before_the_year_1_is_outlying_however_few_there_are() -> None:
    assert clean_span(np.array([-1e11, END - DAY, END]), now=END) == (END - DAY, END)


def test_few_rows_across_a_gap_of_a_year_are_outlying_at_either_end() -> None:
    log = np.linspace(END - 30 * DAY, END, 3000)
    early, late = END - 31 * DAY - 366 * DAY, END + 366 * DAY
    times = np.concatenate([[early], log, [late, late + 400 * DAY]])
    assert clean_span(times, now=END + 5000 * DAY) == (log[0], log[-1])


def test_many_rows_or_a_small_gap_are_not_outlying() -> None:
    log = np.linspace(END - 30 * DAY, END, 1000)
    many = np.concatenate([log, np.full(4, END + 366 * DAY)])  # over 0.1 %, and over three rows
    near = np.concatenate([log, [END + 364 * DAY]])
    for times in (many, near):
        assert clean_span(times, now=END + 5000 * DAY) == (times[0], times[-1])


@pytest.mark.parametrize(("size", "few"), [(19, 0), (20, 1), (59, 2), (800, 3), (3_000, 3), (5_000, 5)])
def test_a_small_log_may_have_a_few_outlying_rows(size: int, few: int) -> None:
    for count, kept in ((few, False), (few + 1, True)):
        log = np.linspace(END - 30 * DAY, END, size - count)
        for odd in (np.zeros(count), np.full(count, END + 400 * DAY)):
            times = np.concatenate([odd, log])
            expected = (times.min(), times.max()) if kept else (log[0], log[-1])
            assert clean_span(times, now=END + 5000 * DAY) == expected


def test_rows_without_a_time_are_left_to_other_rules() -> None:
    assert clean_span(np.array([math.nan, END]), now=END) == (END, END)
    for times in ([math.nan], [math.nan, END + 9 * DAY]):
        assert all(math.isnan(moment) for moment in clean_span(np.array(times), now=END))


@given(times=st.lists(st.floats(0, 4e9), min_size=1, max_size=19))
def test_of_few_rows_only_what_lies_past_the_clock_is_outlying(times: list[float]) -> None:
    """One of fewer than 20 rows is over 5 % of them."""
    first, last = clean_span(np.array(times), now=END)
    known = [moment for moment in times if moment <= END + DAY]
    if known:
        assert (first, last) == (min(known), max(known))
    else:
        assert math.isnan(first)


@pytest.mark.parametrize(
    ("span_days", "life_hours", "step_hours", "parts"),
    [
        (18.0, 24.0, 3.0, 8),
        (18.0, 60.0, 8.0, 3),
        (18.0, 6.0, 1.0, 24),
        (18.0, 0.1, 1.0, 24),
        (18.0, 80.0, 24.0, 1),  # over three days
        (300.0, 6.0, 6.0, 4),  # 42 days from rank_start on have at most 250 cuts
        (7.0, 50.0, 24.0, 1),  # over a quarter of the log
        (4.0, 20.0, 96 / 25 / 2, 2),
        (1.0, 2.0, 24 / 25, 1),  # parts would be under an hour
    ],
)
def test_items_that_live_for_hours_have_cuts_within_the_day(
    span_days: float, life_hours: float, step_hours: float, parts: int
) -> None:
    split = make_split(config(), END - span_days * DAY, END, life_hours * HOUR)
    daily = make_split(config(), END - span_days * DAY, END)
    assert split.parts == parts
    assert split.step == pytest.approx(step_hours * HOUR)
    assert days_back(split) == days_back(daily)
    np.testing.assert_allclose(split.user_cuts(), daily.cuts(), atol=2e-6, rtol=0)


@given(span=st.floats(1e-3, 400 * DAY), life=st.floats(0, 5 * DAY), days=st.sampled_from([{}, {"test_days": 1}]))
def test_boundaries_are_cuts_of_users_however_short_items_live(span: float, life: float, days: dict[str, int]) -> None:
    split = make_split(config(**days), END - span, END, life)
    boundaries = [split.rank_start, split.validation_start, split.test_start]
    assert all(np.isin([at for at in boundaries if at > split.log_start], split.user_cuts()))
    assert np.isin(split.user_cuts(), split.cuts()).all()
    assert Split.model_validate(split.model_dump()) == split
