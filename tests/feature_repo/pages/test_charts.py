"""The charts: lengths follow the values, tooltips and words hold the figures."""

from __future__ import annotations

import re

import pytest

from feature_repo.pages.charts import Bar, DayBar, Pair, bars, daily_bars, histogram, legend, meter, paired_bars
from feature_repo.pages.markup import Markup
from feature_repo.pages.style import STYLE
from tests.feature_repo.pages.tags import read_tags

DAYS = [DayBar("2025-03-01", 6, bad=2, bots=2), DayBar("2025-03-02", 0), DayBar("2025-03-03", 5, spike=True)]


def widths(chart: Markup, fill: str) -> list[float]:
    """Widths in percent of the bars with a fill."""
    return [float(width) for width in re.findall(rf'<rect[^>]*width="([\d.]+)%"[^>]*class="fill-{fill}"', chart)]


def heights(chart: Markup, fill: str) -> list[float]:
    """Heights in pixels of the bars with a fill."""
    return [float(height) for height in re.findall(rf'height="([\d.]+)" class="fill-{fill}"', chart)]


def test_bars_share_one_scale_that_ends_with_the_longest_whisker() -> None:
    chart = bars([Bar("a", 4.0, "four", (3.0, 5.0)), Bar("b", 1.0, "one", fill="rest")])
    assert widths(chart, "accent") == [80.0]
    assert widths(chart, "rest") == [20.0]
    assert '<line x1="60.00%" x2="100.00%"' in chart
    assert chart.count('class="whisker"') == 3
    assert "<title>a: four</title>" in chart


def test_pairs_share_one_scale() -> None:
    chart = paired_bars([Pair("low", 0.8, 0.2, "80 → 20"), Pair("high", 0.2, 0.4, "20 → 40")], "and 3 more")
    assert widths(chart, "rest") == [100.0, 25.0]
    assert widths(chart, "accent") == [25.0, 50.0]
    assert chart.endswith('<span class="more">and 3 more</span></div>')


def test_a_histogram_has_a_bar_a_bin_and_its_ends() -> None:
    chart = histogram([0, 1, 2000], [0.25, 0.75])
    assert heights(chart, "accent") == pytest.approx([64 / 3, 64], abs=0.01)
    assert "<title>1 to 2,000: 75 %</title>" in chart
    assert "<span>0</span><span>2,000</span>" in chart
    assert "<span>-5</span><span>9</span>" in histogram([0, 1], [1.0], (-5, 9))


def test_days_are_stacked_with_gaps_and_spikes() -> None:
    chart = daily_bars(DAYS)
    assert heights(chart, "accent") == [90.0, 75.0]
    assert heights(chart, "warn") == heights(chart, "bad") == [30.0]
    assert chart.count("<title>2025-03-01: 6 kept, 2 bad, 2 of bots</title>") == 3
    assert chart.count("▲ 03-03") == 1
    assert "2025-03-02:" not in chart
    assert "<span>10</span><span>5</span><span>0</span>" in chart


def test_a_meter_is_a_share_of_its_length() -> None:
    assert widths(meter(0.5, "bad"), "bad") == [50.0]


@pytest.mark.parametrize(
    "chart",
    [
        *(bars([]), bars([Bar("zero", 0.0, "0")]), paired_bars([Pair("zero", 0, 0, "0")])),
        *(histogram([0, 1], [0.0]), daily_bars([])),
    ],
)
def test_charts_of_nothing_are_drawn(chart: Markup) -> None:
    assert read_tags(chart).open == []


def test_every_class_of_a_chart_has_a_style_and_labels_are_escaped() -> None:
    chart = Markup(
        bars([Bar("<b>&", 1.0, "<i>", (0.5, 1.0))])
        + paired_bars([Pair("<b>&", 1, 1, "<i>")], "<u>")
        + histogram([0, 1], [1.0])
        + daily_bars(DAYS)
        + legend([("soft", "<b>&"), ("good", "good")], "<u>")
        + meter(1.0, "warn")
    )
    read = read_tags(chart)
    assert read.open == []
    used = {name for key, value in read.attributes if key == "class" and value for name in value.split()}
    assert used <= set(re.findall(r"\.([a-z][a-z-]*)", STYLE))
    assert not re.search("<b>|<i>|<u>", chart)
