"""Sections of the evaluation page about impressions: figures of the ranker on shown items, and calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_repo.pages.blocks import card, cards, panel, section, table
from feature_repo.pages.charts import Bar, bars, legend
from feature_repo.pages.formats import number, percent
from feature_repo.pages.markup import Markup
from feature_repo.pages.plots import Mark, PointSeries, plot


def impression_sections(content: Mapping[str, Any]) -> list[Markup]:
    """The sections for `impressions` and `calibration` of `evaluation.json`; none if the log has no impressions."""
    parts = []
    if content.get("impressions"):
        judged = [(name, number(value)) for name, value in content["impressions"].items()]
        parts.append(section("On impressions", table(("figure", "value"), judged, numeric=(1,))))
    if content.get("calibration"):
        parts.append(_calibration(content["calibration"]))
    if content.get("positions"):
        parts.append(_positions(content["positions"]))
    if content.get("policy_value"):
        parts.append(_policy_value(content["policy_value"]))
    return parts


def _calibration(calibration: Mapping[str, Mapping[str, Any]]) -> Markup:
    drawn = [card(objective, _facts(entry), _reliability(entry)) for objective, entry in calibration.items()]
    return section(
        "Calibration on impressions of the test span",
        cards(drawn),
        note="Rate of the impressions (up) by predicted probability (right), in bins of equal size; on the line both "
        "are equal. The expected calibration error (ECE) is their mean distance; perfect probabilities would have the "
        "error by chance.",
    )


def _facts(entry: Mapping[str, Any]) -> str:
    return (
        f"ECE {entry['ece']:.4f}, by chance {entry['ece_by_chance']:.4f}; {number(entry['impressions'])} impressions, "
        f"{number(entry['positives'])} positive"
    )


def _reliability(entry: Mapping[str, Any]) -> Markup:
    marks = [
        Mark(predicted, observed, f"predicted {percent(predicted)}, rate {percent(observed)} of {number(size)}")
        for predicted, observed, size in entry["bins"]
    ]
    most = max(max(mark.x, mark.y) for mark in marks)
    ends = (0.0, most or 1.0)
    return plot([PointSeries(marks)], across=ends, up=ends, label="Rate by predicted probability", diagonal=True)


def _positions(curve: Mapping[str, Any]) -> Markup:
    heading = "Examination by position"
    if "absent" in curve:
        return section(heading, note=f"Not measured: {curve['absent']}.")
    rates, places = curve["click_rates"], range(1, len(curve["examination"]) + 1)
    columns = list(zip(places, curve["examination"], curve["low"], curve["high"], rates, strict=True))
    estimated = [
        Mark(place, value, f"position {place}: {value:.3f} ({low:.3f} to {high:.3f})", (low, high))
        for place, value, low, high, _ in columns
    ]
    plain = [
        Mark(
            place, rate / rates[0], f"position {place}: click rate {percent(rate)}, {rate / rates[0]:.3f} of the first"
        )
        for place, *_, rate in columns
    ]
    drawn = plot(
        [PointSeries(plain, "rest", joined=True), PointSeries(estimated, "accent", joined=True)],
        across=(1.0, float(len(estimated))),
        up=(0.0, max(1.0, *curve["high"])),
        label="Examination by position",
    )
    rows = [
        (
            number(place),
            f"{value:.3f}",
            f"{low:.3f} to {high:.3f}",
            percent(rate),
            number(impressions),
            number(clicks),
            number(round(effective)),
        )
        for (place, value, low, high, rate), impressions, clicks, effective in zip(
            columns, curve["impressions"], curve["clicks"], curve["effective"], strict=True
        )
    ]
    heads = ("position", "examination", "95 % interval", "click rate", "impressions", "clicks", "effective impressions")
    return section(
        heading,
        panel(legend([("accent", "examination"), ("rest", "click rate")], "first position = 1"), drawn),
        table(heads, rows, numeric=range(len(heads))),
        note="How often users examine a position, estimated from the orders that the log's policy could have drawn. "
        "Click rates also fall because the policy shows better items first.",
    )


def _policy_value(value: Mapping[str, Any]) -> Markup:
    heading = "Value of the ranker's order of logged slates"
    if "absent" in value:
        return section(heading, note=f"Not measured: {value['absent']}.")
    names = {"logged": "logged order", "snips": "ranker, SNIPS", "doubly_robust": "ranker, doubly robust"}
    drawn = [
        Bar(
            words,
            value[name]["mean"],
            f"{value[name]['mean']:.4f} ({value[name]['low']:.4f} to {value[name]['high']:.4f})",
            (value[name]["low"], value[name]["high"]),
            "rest" if name == "logged" else "accent",
        )
        for name, words in names.items()
    ]
    lead = value["lead"]
    return section(
        heading,
        panel(bars(drawn)),
        note="Clicks a slate of the test span, 95 % intervals over users. Doubly robust minus logged: "
        f"{lead['mean']:+.4f} ({lead['low']:+.4f} to {lead['high']:+.4f}). {number(value['slates'])} slates; "
        f"{number(value['kept'])} of {number(value['impressions'])} impressions keep their position and count, as "
        f"{number(round(value['effective']))} of equal weight.",
    )
