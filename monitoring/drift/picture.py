"""Draws two distributions as an inline SVG: a pair of bars for every bin, the reference above the window."""

from __future__ import annotations

from html import escape

from monitoring.drift.report import FeatureDrift
from monitoring.drift.wording import percent

WIDTH, LABEL, FIGURES = 460, 150, 96  # of the picture, of the bins' names, of the shares beside the bars
ROW, BAR, TOP = 24, 9, 4
MOST_BINS = 13  # of a decile picture's size; of long tables those that moved most are drawn
LONGEST = 24  # characters of a bin's name that are shown; all of it stands in the tooltip


def picture(feature: FeatureDrift) -> str:
    """The bins of a feature; what drifted stands out by the bars' difference, and in numbers beside them."""
    moved = sorted(feature.bins, key=lambda one: -abs(one.current - one.reference))[:MOST_BINS]
    bins = [one for one in feature.bins if one in moved]
    rest = len(feature.bins) - len(bins)
    room = WIDTH - LABEL - FIGURES
    scale = room / max(max(one.reference, one.current) for one in bins)
    height = TOP + ROW * (len(bins) + bool(rest))
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(feature.name)}, reference and window">'
    ]
    for place, one in enumerate(bins):
        y = TOP + ROW * place
        name = one.label if len(one.label) <= LONGEST else one.label[: LONGEST - 1] + "…"
        words = f"{percent(one.reference)} → {percent(one.current)}"
        parts.append(
            f"<g><title>{escape(one.label)}: {words}</title>"
            f'<text x="{LABEL - 8}" y="{y + 13}" class="bin">{escape(name)}</text>'
            f'<rect x="{LABEL}" y="{y}" width="{max(one.reference * scale, 1):.1f}" height="{BAR}" class="before"/>'
            f'<rect x="{LABEL}" y="{y + BAR}" width="{max(one.current * scale, 1):.1f}" height="{BAR}" class="after"/>'
            f'<text x="{WIDTH}" y="{y + 13}" class="share">{words}</text></g>'
        )
    if rest:
        parts.append(f'<text x="{LABEL}" y="{height - 9}" class="rest">and {rest} that moved less</text>')
    return "".join(parts) + "</svg>"
