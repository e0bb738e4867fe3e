"""The drift report as a page that a person on call reads at a glance, and the files of a report.

`report.html` has the verdict and what to do first, then the features that moved most with charts, then every column.
`drift.json` is the report itself, and `recs_drift.prom` holds its gauges.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from feature_repo.pages.blocks import (
    Tone,
    badge,
    card,
    cards,
    code,
    facts,
    fine,
    header,
    lead,
    notice,
    page,
    panel,
    section,
    table,
)
from feature_repo.pages.charts import Fill, Pair, legend, meter, paired_bars
from feature_repo.pages.formats import moment, short_percent
from feature_repo.pages.markup import Markup, element, joined
from feature_repo.storage.files import write_text
from monitoring.drift.figures import drift_figures
from monitoring.drift.report import ENOUGH_UNITS, MODERATE, SIGNIFICANT, DriftReport, FeatureDrift, Severity

PAGE_FILE, DATA_FILE, METRICS_FILE = "report.html", "drift.json", "recs_drift.prom"
MOST_PICTURES, FEWEST_PICTURES = 12, 4
MOST_BINS = 13  # bins of a decile feature with a bin for missing; of longer tables the bins that moved most are drawn
FULL_METER = 2.5 * SIGNIFICANT  # the PSI that fills the bar of a row

TONES: Mapping[Severity, Tone] = {"significant": "bad", "moderate": "warn", "none": "good", "insufficient": "plain"}
FILLS: Mapping[Tone, Fill] = {"bad": "bad", "warn": "warn", "good": "good", "plain": "rest"}

TITLES = {
    "significant": "Significant drift",
    "moderate": "Moderate drift",
    "none": "No drift",
    "insufficient": "Too little data",
}
ADVICE = {
    "significant": "Users, items or requests differ from the reference of this bundle. First check whether the "
    "data is right: a broken feed, prices in another currency or a client that no longer sends its device also look "
    "like this. If ages and days since an event moved most, the features were not refreshed: refresh them first. If "
    "the data is right, the retraining is the answer. If the data is wrong, correct it: a model trained on it would "
    "be worse.",
    "moderate": "Nothing has to be done. Check whether the same features were moderate in earlier reports: a feature "
    "that keeps moving will soon be significant.",
    "none": "Nothing has to be done.",
    "insufficient": f"Nothing can be concluded: with fewer than {ENOUGH_UNITS} requests, features differ by chance. "
    "The window stays open. If more requests were expected, check the traffic and the impressions not compared.",
}


def write_reports(report: DriftReport, folder: Path) -> None:
    """Writes `report.html`, `drift.json` and `recs_drift.prom`, each atomically."""
    write_text(folder / DATA_FILE, report.model_dump_json(indent=2) + "\n")
    write_text(folder / PAGE_FILE, drift_page(report))
    write_text(folder / METRICS_FILE, drift_figures(report))


def drift_page(report: DriftReport) -> str:
    """The whole page."""
    verdict = TITLES[report.verdict]
    head = header(
        f"Drift of {report.dataset}", verdict, lead(report.sentence), *_answer(report), tone=TONES[report.verdict]
    )
    return page(
        f"{verdict}: {report.dataset}", head, _summary(report), *_pictures(report), *_columns(report), _method()
    )


def _answer(report: DriftReport) -> list[Markup]:
    """The answer of the job, and the outcome of the latest retraining if it has ended."""
    if report.answer is None:
        return []
    done = "A retraining was started" if report.answer.retrain else "No retraining was started"
    lines = [notice(element("b", f"{done}:"), f" {report.answer.sentence}", tone=TONES[report.verdict])]
    latest = report.answer.latest
    if latest is not None and latest.outcome in ("refused", "failed") and latest.bundle == report.bundle_version:
        ended = "was refused, and the previous bundle stays in service" if latest.outcome == "refused" else "failed"
        lines.append(notice(element("b", f"The latest retraining {ended}:"), f" {latest.sentence}", tone="bad"))
    elif latest is not None and latest.outcome == "released":
        lines.append(notice("The latest retraining released bundle ", code(latest.version), ".", tone="good"))
    return lines


def _summary(report: DriftReport) -> Markup:
    left_out = "; ".join(f"{num:,} {reason}" for reason, num in report.num_left_out.items())
    measured = {
        "Window": f"{moment(report.start)} to {moment(report.end)} UTC",
        "Bundle": code(report.bundle_version),
        "Compared": f"{report.num_requests:,} requests, {report.num_impressions:,} items shown",
        "Not compared": f"items shown: {left_out}" if left_out else "none",
        "Measured": f"{moment(report.measured_at)} UTC",
    }
    advice = element("div", element("h2", "What to do"), element("p", ADVICE[report.verdict]))
    return element("section", panel(advice, facts(measured), columns=True))


def _pictures(report: DriftReport) -> list[Markup]:
    drawn = [feature for feature in report.features if feature.bins and feature.kind != "calendar"]
    moved = [feature for feature in drawn if feature.severity in ("significant", "moderate")]
    shown = moved[:MOST_PICTURES] if len(moved) >= FEWEST_PICTURES else drawn[:FEWEST_PICTURES]
    if not shown:
        return []
    reference = "reference: slates of this bundle in the replay at its release"
    colours = legend([("rest", reference), ("accent", "this window")])
    return [section("Worst first", colours, cards((_card(feature) for feature in shown), large=True))]


def _card(feature: FeatureDrift) -> Markup:
    figure = joined(["PSI ", element("b", f"{feature.psi:.2f}"), " ", _badge(feature)])
    return card(
        feature.name, figure, element("p", feature.detail, class_="facts"), _picture(feature), tone=_tone(feature)
    )


def _picture(feature: FeatureDrift) -> Markup:
    """Both distributions over the bins, in their order."""
    moved = sorted(feature.bins, key=lambda one: -abs(one.current - one.reference))[:MOST_BINS]
    pairs = [
        Pair(
            one.label,
            one.reference,
            one.current,
            f"{short_percent(one.reference)} → {short_percent(one.current)}",
        )
        for one in feature.bins
        if one in moved
    ]
    rest = len(feature.bins) - len(pairs)
    return paired_bars(pairs, f"and {rest} that moved less" if rest else "")


def _columns(report: DriftReport) -> list[Markup]:
    if not report.features:
        return []
    headers = ("Column", "Kind", "PSI", "", "Severity", "Ordinary", "What moved most")
    rows = [
        (
            code(feature.name),
            feature.kind,
            "–" if feature.psi is None else f"{feature.psi:.3f}",
            meter(min((feature.psi or 0.0) / FULL_METER, 1.0), FILLS[_tone(feature)]),
            _badge(feature),
            "–" if feature.ordinary is None else f"{feature.ordinary:.3f}",
            feature.detail,
        )
        for feature in report.features
    ]
    return [section(f"All {len(report.features)} columns", table(headers, rows, numeric=(2, 5)))]


def _is_quiet(feature: FeatureDrift) -> bool:
    """Whether the feature has drifted without an alarm."""
    return feature.severity in ("significant", "moderate") and not feature.alarms


def _tone(feature: FeatureDrift) -> Tone:
    return "plain" if _is_quiet(feature) else TONES[feature.severity]


def _badge(feature: FeatureDrift) -> Markup:
    words = f"{feature.severity}, no alarm" if _is_quiet(feature) else feature.severity
    return badge(words, _tone(feature))


def _method() -> Markup:
    return section(
        "How drift is measured",
        fine(
            "PSI is computed over the deciles of the reference, or over its most frequent categories; missing values "
            f"have a separate bin. A PSI below {MODERATE:g} is none, from {MODERATE:g} moderate, from {SIGNIFICANT:g} "
            f"significant; with fewer than {ENOUGH_UNITS} requests it is insufficient. User and request features "
            "count once per request, item and seller features once per day, and all others once per shown item. A PSI "
            "that random variation of few items, sellers or users could explain is also insufficient."
        ),
        fine(
            element("i", "Ordinary"),
            " is the largest PSI of one day of the reference against its other days. A column below twice this value "
            "does not alarm. Hours and weekdays never alarm, and neither do impression counts of items and users "
            "(kind ",
            element("i", "exposure"),
            "). The recommender causes impression counts, and their effect is visible in the predictions.",
        ),
    )
