"""Points of a plot lie where their values say, and every class has a style."""

from __future__ import annotations

import re

import pytest

from feature_repo.pages.plots import PLOT_HEIGHT, Mark, PointSeries, plot
from feature_repo.pages.style import STYLE
from tests.feature_repo.pages.tags import read_tags


def test_points_lie_at_their_values() -> None:
    drawn = plot(
        [PointSeries([Mark(1.0, 2.0, "low"), Mark(3.0, 4.0, "<b>", (3.0, 4.0))])], across=(1, 5), up=(0, 4), label="a"
    )
    circles = re.findall(r'cx="([\d.]+)%" cy="([\d.]+)"', drawn)
    assert [(float(x), float(y)) for x, y in circles] == [(0.0, PLOT_HEIGHT / 2), (50.0, 0.0)]
    assert "<title>low</title>" in drawn
    assert "<title>&lt;b&gt;</title>" in drawn
    assert f'y1="{PLOT_HEIGHT / 4:.2f}" y2="0.00" class="whisker"' in drawn
    assert "<span>4</span><span>2</span><span>0</span>" in drawn
    assert "<span>1</span><span>5</span>" in drawn


@pytest.mark.parametrize("diagonal", [False, True])
def test_lines_join_the_points_of_a_trace_only(diagonal: bool) -> None:
    joined = PointSeries([Mark(0, 0, "a"), Mark(1, 1, "b"), Mark(2, 0, "c")], "rest", joined=True)
    drawn = plot([joined, PointSeries([Mark(0, 1, "d")])], across=(0, 2), up=(0, 2), label="a", diagonal=diagonal)
    assert drawn.count('class="line-rest"') == 2
    assert drawn.count('class="base"') == 1 + diagonal


def test_every_class_of_a_plot_has_a_style() -> None:
    traces = [PointSeries([Mark(0, 0, "", (0, 1)), Mark(1, 1, "")], fill, joined=True) for fill in ("accent", "rest")]
    read = read_tags(plot(traces, across=(0, 1), up=(0, 1), label="a", diagonal=True))
    assert read.open == []
    used = {name for key, value in read.attributes if key == "class" and value for name in value.split()}
    assert used <= set(re.findall(r"\.([a-z][a-z-]*)", STYLE))
    assert read_tags(plot([], across=(0, 1), up=(0, 1), label="nothing")).open == []
