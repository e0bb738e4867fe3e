"""The drift report as a page that a person on call reads at a glance, and the files of a report.

Owns `report.html`: the verdict and what to do first, then the worst features with pictures, then every column. It is
one file, complete without a network. `drift.json` is the report itself, `recs_drift.prom` its gauges.
"""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from pathlib import Path

from feature_repo.storage.files import write_text
from monitoring.drift.figures import drift_figures
from monitoring.drift.picture import picture
from monitoring.drift.report import ENOUGH_UNITS, MODERATE, SIGNIFICANT, DriftReport, FeatureDrift
from monitoring.drift.style import STYLE

PAGE_FILE, DATA_FILE, METRICS_FILE = "report.html", "drift.json", "recs_drift.prom"
MOST_PICTURES, FEWEST_PICTURES = 12, 4

TITLES = {
    "significant": "Significant drift",
    "moderate": "Moderate drift",
    "none": "No drift",
    "insufficient": "Too little to judge",
}
ADVICE = {
    "significant": "People, items or requests differ from what this bundle was released with. See first whether the "
    "data is right: a feed that broke, prices in another currency, a client that no longer sends its device all look "
    "like this. If ages and days since something lead, features were not refreshed: do that first. If the data is "
    "right, the retraining is the answer; if not, mend it: a model trained on it would be worse.",
    "moderate": "Nothing has to be done. Look whether the same features were moderate in the reports before: what "
    "keeps moving will be significant soon.",
    "none": "Nothing has to be done.",
    "insufficient": f"Nothing can be concluded: with fewer than {ENOUGH_UNITS} requests some feature differs by "
    "chance. The window stays open. If there should have been more, look at the traffic and at what was left out.",
}


def write_reports(report: DriftReport, folder: Path) -> None:
    """Writes `report.html`, `drift.json` and `recs_drift.prom`, each atomically."""
    write_text(folder / DATA_FILE, report.model_dump_json(indent=2) + "\n")
    write_text(folder / PAGE_FILE, page(report))
    write_text(folder / METRICS_FILE, drift_figures(report))


def page(report: DriftReport) -> str:
    """The whole page."""
    title = f"{TITLES[report.verdict]}: {report.dataset}"
    sections = [_head(report), _pictures(report), _table(report), _notes()]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>{''.join(sections)}</body></html>\n"
    )


def _head(report: DriftReport) -> str:
    left_out = "; ".join(f"{num:,} {escape(reason)}" for reason, num in report.num_left_out.items()) or "none"
    facts = {
        "Window": f"{_moment(report.start)} to {_moment(report.end)} UTC",
        "Bundle": f"<code>{escape(report.bundle_version)}</code>",
        "Compared": f"{report.num_requests:,} requests, {report.num_impressions:,} items shown",
        "Not compared": f"items shown: {left_out}" if report.num_left_out else "none",
        "Measured": f"{_moment(report.measured_at)} UTC",
    }
    rows = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in facts.items())
    return (
        f'<header class="{report.verdict}"><div><p class="of">Drift of <b>{escape(report.dataset)}</b></p>'
        f"<h1>{TITLES[report.verdict]}</h1><p class='lead'>{escape(report.sentence)}</p>"
        f"{_answer(report)}</div></header>"
        f"<main><section class='two'><div><h2>What to do</h2><p>{escape(ADVICE[report.verdict])}</p></div>"
        f"<dl>{rows}</dl></section>"
    )


def _answer(report: DriftReport) -> str:
    """What was done about it, and how the latest retraining ended where it ended without a release."""
    if report.answer is None:
        return ""
    done = "A retraining was started" if report.answer.retrain else "No retraining was started"
    told = f"<p class='answer'><b>{done}:</b> {escape(report.answer.sentence)}</p>"
    latest = report.answer.latest
    if latest is not None and latest.outcome in ("refused", "failed") and latest.bundle == report.bundle_version:
        ended = _ended(latest.outcome)
        told += f"<p class='answer bad'><b>The latest retraining {ended}:</b> {escape(latest.sentence)}</p>"
    elif latest is not None and latest.outcome == "released":
        told += f"<p class='answer'>The latest retraining released bundle <code>{escape(latest.version)}</code>.</p>"
    return told


def _ended(outcome: str) -> str:
    return "was refused, and the old bundle stays served" if outcome == "refused" else "failed"


def _pictures(report: DriftReport) -> str:
    drawn = [feature for feature in report.features if feature.bins and feature.kind != "calendar"]
    moved = [feature for feature in drawn if feature.severity in ("significant", "moderate")]
    shown = moved[:MOST_PICTURES] if len(moved) >= FEWEST_PICTURES else drawn[:FEWEST_PICTURES]
    if not shown:
        return ""
    cards = "".join(_card(feature) for feature in shown)
    return (
        "<section><h2>Worst first</h2><p class='legend'><span class='before'></span> reference: what this bundle "
        "showed in replay when it was released <span class='after'></span> this window</p>"
        f"<div class='cards'>{cards}</div></section>"
    )


def _card(feature: FeatureDrift) -> str:
    return (
        f"<article class='{_tone(feature)}'><h3>{escape(feature.name)}</h3><p class='psi'>PSI "
        f"<b>{feature.psi:.2f}</b> {_badge(feature)}</p><p class='detail'>{escape(feature.detail)}</p>"
        f"{picture(feature)}</article>"
    )


def _table(report: DriftReport) -> str:
    if not report.features:
        return ""
    rows = "".join(_row(feature) for feature in report.features)
    return (
        f"<section><h2>All {len(report.features)} columns</h2><table><thead><tr><th>Column</th><th>Kind</th>"
        "<th class='n'>PSI</th><th></th><th>Severity</th><th class='n'>Ordinary</th><th>What moved most</th></tr>"
        f"</thead><tbody>{rows}</tbody></table></section>"
    )


def _row(feature: FeatureDrift) -> str:
    width = 0.0 if feature.psi is None else min(feature.psi / (2.5 * SIGNIFICANT), 1.0) * 100
    psi = "–" if feature.psi is None else f"{feature.psi:.3f}"
    ordinary = "–" if feature.ordinary is None else f"{feature.ordinary:.3f}"
    return (
        f"<tr class='{_tone(feature)}'><td><code>{escape(feature.name)}</code></td><td>{feature.kind}</td>"
        f"<td class='n'>{psi}</td><td class='bar'><i style='width:{width:.0f}%'></i></td><td>{_badge(feature)}</td>"
        f"<td class='n'>{ordinary}</td><td>{escape(feature.detail)}</td></tr>"
    )


def _tone(feature: FeatureDrift) -> str:
    """How it is coloured: what does not alarm is not painted as if it did."""
    return "quiet" if feature.severity in ("significant", "moderate") and not feature.alarms else feature.severity


def _badge(feature: FeatureDrift) -> str:
    tone = _tone(feature)
    words = f"{feature.severity}, no alarm" if tone == "quiet" else feature.severity
    return f"<span class='badge {tone}'>{words}</span>"


def _notes() -> str:
    return (
        "<section class='notes'><h2>How it is counted</h2><p>PSI over the deciles of the reference, or its most "
        f"frequent categories; what is missing is a bin of its own. Below {MODERATE:g} none, from {MODERATE:g} "
        f"moderate, from {SIGNIFICANT:g} significant; under {ENOUGH_UNITS} requests insufficient. Features of the user "
        "and of the request count once a request, those of items and sellers once a day, all others once an item "
        "shown; what so few items, sellers or users differ by through chance is insufficient too. <i>Ordinary</i> is "
        "the largest PSI of one day of the reference against its other days: a column below twice that does not alarm. "
        "Hours and weekdays never do, nor does how much was shown of an item or to a user (kind <i>exposure</i>): "
        "that is this recommender's own doing, and what it changes shows in the predictions.</p></section></main>"
    )


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
